/* The types SQLite's date functions name. The time comes from the VFS; there is no local time (SQLITE_OMIT_LOCALTIME). */
#pragma once
#include <stddef.h>

typedef long long time_t;

struct tm {
  int tm_sec;
  int tm_min;
  int tm_hour;
  int tm_mday;
  int tm_mon;
  int tm_year;
  int tm_wday;
  int tm_yday;
  int tm_isdst;
};
