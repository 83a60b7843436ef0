/* hostile-spin: see hostile_end.c */
#define HOW "spin"
#include "hostile_end.c"
