// SPDX-License-Identifier: MIT
#pragma once
// Macros that system and third-party headers really define, in the state a user's unit may be in when it includes ours.

// <windows.h>
#define min(a, b) poison_min
#define max(a, b) poison_max
#define small char
#define near
#define far
#define interface struct
#define ERROR 0
#define OPTIONAL
#define CONST const
#define IN
#define OUT
#define TRUE 1
#define FALSE 0
#define NO_ERROR 0L
#define STRICT 1
#define DELETE 0x00010000L
#define ABSOLUTE 1
#define RELATIVE 2

// <complex.h>
#define I poison_imaginary
#define complex _Complex

// <X11/X.h>, <X11/Xlib.h>
#define None 0L
#define Status int
#define Success 0
#define Bool int
#define True 1
#define False 0
#define Always 2
#define DestroyAll 0

// <sys/sysmacros.h>
#define major(device) poison_major
#define minor(device) poison_minor

// Qt without QT_NO_KEYWORDS
#define emit
#define slots
#define signals public
#define foreach poison_foreach

// <AssertMacros.h>, logging libraries
#define check(assertion) poison_check
#define verify(assertion) poison_verify
#define require(assertion, label) poison_require
#define CHECK(condition) poison_check
#define ASSERT(condition) poison_assert
#define LOG(level) poison_log
#define INFO 0
#define WARNING 1

// Constants of numerical programs
#define PI 3.14159
#define EPS 1e-9
#define INF 1e30
#define N poison_rows
#define K poison_clusters
#define DIM 128
