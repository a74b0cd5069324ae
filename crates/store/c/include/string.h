/* What SQLite uses of string.h; defined in src/sqlite/c_library.rs and in Rust's compiler runtime. */
#pragma once
#include <stddef.h>

void *memchr(const void *bytes, int wanted, size_t count);
int memcmp(const void *left, const void *right, size_t count);
void *memcpy(void *restrict target, const void *restrict source, size_t count);
void *memmove(void *target, const void *source, size_t count);
void *memset(void *target, int byte, size_t count);
char *strchr(const char *string, int wanted);
int strcmp(const char *left, const char *right);
size_t strcspn(const char *string, const char *rejected);
size_t strlen(const char *string);
int strncmp(const char *left, const char *right, size_t count);
char *strrchr(const char *string, int wanted);
size_t strspn(const char *string, const char *accepted);
