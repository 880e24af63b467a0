// SPDX-License-Identifier: MIT
#include "checkpoint_file.hpp"
#include "support/backends.hpp"
#include "training_run.hpp"

#include <protonce/em/checkpoint.hpp>

#include <doctest/doctest.h>

#include <csignal>
#include <string>
#include <vector>

#include <sys/resource.h>

using namespace protonce;
using doctest::Contains;
using test::checkpoint_folder;
using backend_type = cpu_backend<float>;

TEST_CASE("replacing_file: the new content has the name only after commit") {
    const checkpoint_folder folder;
    const auto path = folder.path("file");
    test::write_file(path, "old");
    {
        detail::replacing_file file("test", path);
        file.write("new content", 11);
        CHECK(test::read_file(path) == "old");
        file.commit();
        CHECK(test::read_file(path) == "new content");
    }
    CHECK(test::read_file(path) == "new content");
    CHECK(folder.names() == std::vector<std::string>{"file"});
}

TEST_CASE("replacing_file: without commit the old file stays and nothing is left behind") {
    const checkpoint_folder folder;
    const auto path = folder.path("file");
    test::write_file(path, "old");
    {
        detail::replacing_file file("test", path);
        file.write("new", 3);
        CHECK(folder.names().size() == 2);
    }
    CHECK(test::read_file(path) == "old");
    CHECK(folder.names() == std::vector<std::string>{"file"});
}

TEST_CASE("replacing_file: what a crashed run left is passed over, and two writers do not meet") {
    const checkpoint_folder folder;
    const auto path = folder.path("file");
    test::write_file(folder.path("file.partial0"), "crashed");
    detail::replacing_file first("test", path);
    detail::replacing_file second("test", path);
    first.write("first", 5);
    second.write("second", 6);
    second.commit();
    first.commit();

    CHECK(test::read_file(path) == "first");
    CHECK(test::read_file(folder.path("file.partial0")) == "crashed");
    CHECK(folder.names() == std::vector<std::string>{"file", "file.partial0"});
}

TEST_CASE("save_checkpoint: a folder that does not exist is named, with the system's answer") {
    backend_type be;
    const checkpoint_folder folder;
    const objective<backend_type> run(be, test::run_options());
    const auto path = folder.path("missing") / "a.ckpt";

    CHECK_THROWS_WITH_AS(
        save_checkpoint(be, run, path),
        ("save_checkpoint: " + path.string() + ": cannot create a temporary file beside it: No such file or directory")
            .c_str(),
        backend_error);
}

TEST_CASE("save_checkpoint: a folder in its place stays, and nothing is left behind") {
    backend_type be;
    const checkpoint_folder folder;
    const objective<backend_type> run(be, test::run_options());
    std::filesystem::create_directory(folder.path("a.ckpt"));

    CHECK_THROWS_WITH_AS(save_checkpoint(be, run, folder.path("a.ckpt")), Contains("rename: "), backend_error);

    CHECK(folder.names() == std::vector<std::string>{"a.ckpt"});
}

TEST_CASE("save_checkpoint: a full disk leaves the old file whole and nothing else") {
    backend_type be;
    const checkpoint_folder folder;
    const auto path = folder.path("a.ckpt");
    objective<backend_type> run(be, test::run_options());
    save_checkpoint(be, run, path);
    const auto old = test::read_file(path);
    test::advance(be, run);

    // The system refuses to write past this size, as it does when the disk is full, at each of some sizes.
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    for (const std::size_t room : {std::size_t{0}, std::size_t{39}, std::size_t{100}, old.size() / 2, old.size() - 1}) {
        const rlimit little{.rlim_cur = room, .rlim_max = before.rlim_max};
        REQUIRE(setrlimit(RLIMIT_FSIZE, &little) == 0);
        std::string text;
        try {
            save_checkpoint(be, run, path);
        } catch (const backend_error& error) {
            text = error.what();
        }
        REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
        CHECK_CONTAINS(text, "save_checkpoint: " + path.string() + ": write: ");
        CHECK(test::read_file(path) == old);
        CHECK(folder.names() == std::vector<std::string>{"a.ckpt"});
    }
    std::signal(SIGXFSZ, handler);

    save_checkpoint(be, run, path);
    CHECK(test::read_file(path) != old);
}

TEST_CASE("save_checkpoint: a file name without a folder is written to the current one") {
    backend_type be;
    const checkpoint_folder folder;
    const objective<backend_type> run(be, test::run_options());
    const auto here = std::filesystem::current_path();
    std::filesystem::current_path(folder.path(""));

    save_checkpoint(be, run, "plain.ckpt");

    std::filesystem::current_path(here);
    CHECK(folder.names() == std::vector<std::string>{"plain.ckpt"});
}
