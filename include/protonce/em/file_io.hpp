// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/error.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#if __has_include(<unistd.h>) && __has_include(<fcntl.h>)
#include <fcntl.h>
#include <unistd.h>
#endif

/// Files of a checkpoint: one that replaces another as a whole, and one that is read front to back.
namespace protonce::inline v0::detail {

[[noreturn]] inline void fail_file(const char* function, const std::filesystem::path& path, const std::string& reason) {
    throw backend_error(std::string(function) + ": " + path.string() + ": " + reason);
}

[[noreturn]] inline void fail_call(const char* function, const std::filesystem::path& path, const char* call,
                                   int error) {
    fail_file(function, path, std::string(call) + ": " + std::generic_category().message(error));
}

/// A new file under a temporary name in the folder of `path`; commit() gives it its name. Until then whatever has that
/// name stays, and without commit() the temporary file is removed. After commit() the new content survives a loss of
/// power where POSIX calls are there; elsewhere the replacement is only as safe as the system's rename.
class replacing_file {
public:
    replacing_file(const char* function, std::filesystem::path path) : function_(function), path_(std::move(path)) {
        // A name that a crashed run left behind, or another process is writing to, is passed over.
        for (int attempt = 0; attempt < 1000; ++attempt) {
            temporary_ = path_;
            temporary_ += ".partial" + std::to_string(attempt);
            if (open()) {
                return;
            }
            if (errno != EEXIST) {
                fail_call(function_, path_, "cannot create a temporary file beside it", errno);
            }
        }
        fail_file(function_, path_, "1000 temporary files (.partial0 and so on) lie beside it; remove them");
    }
    replacing_file(const replacing_file&) = delete;
    replacing_file& operator=(const replacing_file&) = delete;
    ~replacing_file() {
        if (!committed_) {
            close();
            std::error_code ignored;
            std::filesystem::remove(temporary_, ignored);
        }
    }

#if __has_include(<unistd.h>) && __has_include(<fcntl.h>)
    void write(const void* data, std::size_t size) {
        const auto* bytes = static_cast<const char*>(data);
        while (size > 0) {
            const auto written = ::write(file_, bytes, size);
            if (written < 0 && errno == EINTR) {
                continue;
            }
            if (written < 0) {
                fail_call(function_, path_, "write", errno);
            }
            bytes += written;
            size -= static_cast<std::size_t>(written);
        }
    }

    void commit() {
        if (::fsync(file_) != 0) {
            fail_call(function_, path_, "fsync", errno);
        }
        const int file = std::exchange(file_, -1);
        if (::close(file) != 0) {
            fail_call(function_, path_, "close", errno);
        }
        rename();
        // The new name itself is on the disk only when its folder is. A system that cannot sync folders answers EINVAL.
        const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
        const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0) {
            return;
        }
        const int status = ::fsync(directory);
        const int error = errno;
        ::close(directory);
        if (status != 0 && error != EINVAL) {
            fail_call(function_, path_, "fsync of its folder", error);
        }
    }

private:
    bool open() {
        file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        return file_ >= 0;
    }
    void close() {
        if (file_ >= 0) {
            ::close(std::exchange(file_, -1));
        }
    }

    int file_ = -1;
#else
    void write(const void* data, std::size_t size) {
        if (std::fwrite(data, 1, size, file_) != size) {
            fail_call(function_, path_, "fwrite", errno);
        }
    }

    void commit() {
        if (std::fclose(std::exchange(file_, nullptr)) != 0) {
            fail_call(function_, path_, "fclose", errno);
        }
        rename();
    }

private:
    bool open() {
        file_ = std::fopen(temporary_.string().c_str(), "wbx");
        return file_ != nullptr;
    }
    void close() {
        if (file_ != nullptr) {
            std::fclose(std::exchange(file_, nullptr));
        }
    }

    std::FILE* file_ = nullptr;
#endif
    void rename() {
        std::error_code error;
        std::filesystem::rename(temporary_, path_, error);
        if (error) {
            fail_file(function_, path_, "rename: " + error.message());
        }
        committed_ = true;
    }

    const char* function_;
    std::filesystem::path path_;
    std::filesystem::path temporary_;
    bool committed_ = false;
};

/// A file that is read front to back and knows how much is left.
class sequential_file {
public:
    sequential_file(const char* function, std::filesystem::path path) : function_(function), path_(std::move(path)) {
        std::error_code error;
        if (!std::filesystem::is_regular_file(path_, error)) {
            fail_file(function_, path_, "must be a file" + (error ? "; " + error.message() : std::string()));
        }
        size_ = std::filesystem::file_size(path_, error);
        if (error) {
            fail_file(function_, path_, "size: " + error.message());
        }
        file_ = std::fopen(path_.string().c_str(), "rb");
        if (file_ == nullptr) {
            fail_call(function_, path_, "open", errno);
        }
    }
    sequential_file(const sequential_file&) = delete;
    sequential_file& operator=(const sequential_file&) = delete;
    ~sequential_file() { std::fclose(file_); }

    std::uint64_t size() const { return size_; }
    /// Bytes not yet read.
    std::uint64_t left() const { return size_ - done_; }

    /// Reads exactly `size` bytes.
    void read(void* out, std::size_t size) {
        if (size > left() || std::fread(out, 1, size, file_) != size) {
            fail_file(function_, path_, std::ferror(file_) != 0 ? "read: input error" : "ends too early");
        }
        done_ += size;
    }

    [[noreturn]] void fail(const std::string& reason) const { fail_file(function_, path_, reason); }

private:
    const char* function_;
    std::filesystem::path path_;
    std::FILE* file_ = nullptr;
    std::uint64_t size_ = 0;
    std::uint64_t done_ = 0;
};

} // namespace protonce::inline v0::detail
