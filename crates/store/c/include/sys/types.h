/* Included by SQLite, which needs no type of it here. */
#pragma once
#include <stddef.h>
