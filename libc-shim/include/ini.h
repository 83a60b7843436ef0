/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LIBC_SHIM_INI_H
#define LIBC_SHIM_INI_H

/*
 * A reader of INI text: [section] lines, name = value lines, whole-line comments with ';' or '#',
 * comments after white space and ';' on a value's line. A value may stand in double quotes, which
 * are not part of it. Modelled on the calling convention of the inih library.
 */

/* bytes of a line, longer ones are an error; the reader keeps one line on the stack */
#define INI_LINE_MAX 2560
#define INI_NAME_MAX 64 /* bytes of a section's name with its zero byte */
/* the section of what follows a header that is wrong: no header that is right gives it */
#define INI_BAD_SECTION "["

/*
 * Called for each line that is not blank; the strings live only during the call. Returns 0 to
 * report an error. name = value   section, name and value are set [section]      name and value are
 * NULL anything else  name is NULL, value says in words what is wrong with the line
 */
typedef int (*ini_handler)(void *user, const char *section, const char *name, const char *value,
                           int lineno);

/*
 * Reads zero-terminated `text`; never modifies it, allocates nothing. Any context.
 * Returns 0, or the number of the first line that is not INI text or that the handler refused; goes
 * on to the end in any case, so that a handler can collect every error.
 */
int ini_parse_string(const char *text, ini_handler handler, void *user);

#endif
