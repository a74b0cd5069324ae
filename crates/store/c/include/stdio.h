/* Included by SQLite, which prints nothing where it has no operating system. */
#pragma once
#include <stddef.h>
