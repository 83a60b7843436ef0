/* hostile-halt: see hostile_end.c */
#define HOW "halt"
#include "hostile_end.c"
