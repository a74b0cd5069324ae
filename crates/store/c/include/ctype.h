/* Included by SQLite, which has its own tables of characters. */
#pragma once
