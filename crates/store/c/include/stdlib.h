/* Included by SQLite, which allocates through sqlite3_config and uses nothing else of it. */
#pragma once
#include <stddef.h>
