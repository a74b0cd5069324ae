/* Included by SQLite, which needs nothing of it here. */
#pragma once
