/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: a ring of lines with level and time, shown by the shell as they come, and by the
 * command `log`. Any CPU, any context but NMI. Lines are cut at 239 bytes. Text from guests is
 * escaped.
 */
#pragma once
#include <hv/types.h>
enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG };
/* fmt: without a line feed; newlib's printf, without floating point. */
void hv_log(enum log_level, const char *fmt, ...) printf_like(2, 3);
#define log_err(...) hv_log(LOG_ERR, __VA_ARGS__)
#define log_warn(...) hv_log(LOG_WARN, __VA_ARGS__)
#define log_info(...) hv_log(LOG_INFO, __VA_ARGS__)
#define log_debug(...) hv_log(LOG_DEBUG, __VA_ARGS__)
/*
 * From an NMI, which may have interrupted whoever holds the log's lock: keeps the text (a constant,
 * which stays where it is), and the loop of some CPU logs it soon, by log_notes(). Two that come at
 * once are one.
 */
void log_from_nmi(const char *text);
void log_notes(void);
struct vm;
/* What a guest did: prefixed with its name; rate-limited per VM (burst 20, then 2 a second; the
 * number dropped is said), debug lines apart from the others: what is chatty at that level never
 * costs a warning. */
void vm_log(struct vm *, enum log_level, const char *fmt, ...) printf_like(3, 4);
/* hv/vm/tell.c: the same, and a line of its own on the guest's console, up to 239 bytes. */
void vm_tell(struct vm *, enum log_level, const char *fmt, ...) printf_like(3, 4);
/*
 * Reader of the ring: copies the line with sequence number >= *seq into buf, advances *seq past it;
 * false at the end.
 */
bool log_read(uint64_t *seq, enum log_level max, char *buf, size_t len);
/* A line as log_read() gives it, cut where buf ends (len > 0); returns its length. */
size_t log_format(enum log_level, uint64_t ns, const char *text, char *buf, size_t len);
/* Any CPU: which lines also go to the sink. The ring keeps all. */
void log_set_console_level(enum log_level max);
/*
 * Any CPU: from now on log_read() and the sink give lines with the date and time in UTC in place of
 * the time since the start. seconds: since 1970, at time_ns() 0; 0: the time since the start again.
 */
void log_show_utc(uint64_t seconds);
/*
 * Where log lines go besides the ring: set once by mgmt's console (before that, by the early serial
 * or framebuffer writer).
 */
void log_set_sink(void (*write)(const char *, size_t));
