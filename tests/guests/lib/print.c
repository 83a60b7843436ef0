/* SPDX-License-Identifier: BSD-2-Clause */
/* A small printf, the verdict lines, and strings. */
#include <stdarg.h>
#include <guest.h>

unsigned failures;
static volatile bool print_lock;

static void put(char c)
{
    if (c == '\n')
        serial_putc('\r');
    serial_putc(c);
}

static void put_padded(const char *s, size_t len, unsigned width, char fill)
{
    for (; width > len; width--)
        put(fill);
    for (size_t i = 0; i < len; i++)
        put(s[i]);
}

static void put_num(uint64_t v, unsigned base, bool neg, unsigned width, char fill)
{
    char buf[24];
    size_t n = sizeof buf;
    do {
        buf[--n] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    if (neg)
        buf[--n] = '-';
    put_padded(buf + n, sizeof buf - n, width, fill);
}

struct spec {
    unsigned width, longs;
    char fill;
};

static const char *parse_spec(const char *f, struct spec *s)
{
    *s = (struct spec){ .fill = ' ' };
    if (*f == '0')
        s->fill = '0';
    for (; *f >= '0' && *f <= '9'; f++)
        s->width = s->width * 10 + (unsigned)(*f - '0');
    for (; *f == 'l' || *f == 'z'; f++)
        s->longs++;
    return f;
}

static void put_arg(char conv, const struct spec *s, va_list *ap)
{
    if (conv == 's') {
        const char *str = va_arg(*ap, const char *);
        str = str ? str : "(null)";
        put_padded(str, strlen(str), s->width, ' ');
    } else if (conv == 'c') {
        put((char)va_arg(*ap, int));
    } else if (conv == 'd') {
        int64_t v = s->longs ? va_arg(*ap, int64_t) : va_arg(*ap, int);
        put_num(v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, v < 0, s->width, s->fill);
    } else if (conv == 'u' || conv == 'x') {
        uint64_t v = s->longs ? va_arg(*ap, uint64_t) : va_arg(*ap, unsigned);
        put_num(v, conv == 'u' ? 10 : 16, false, s->width, s->fill);
    } else if (conv == 'p') {
        put_num((uintptr_t)va_arg(*ap, void *), 16, false, s->width, s->fill);
    } else {
        put(conv);
    }
}

static void vprint(const char *fmt, va_list *ap)
{
    for (; *fmt; fmt++) {
        if (*fmt != '%') {
            put(*fmt);
            continue;
        }
        struct spec s;
        fmt = parse_spec(fmt + 1, &s);
        if (!*fmt)
            return;
        put_arg(*fmt, &s, ap);
    }
}

static void lock(void)
{
    /* Bounded: a verdict that comes from a trap inside print() must still come out. */
    for (unsigned n = 0; n < 10000000 && __atomic_test_and_set(&print_lock, __ATOMIC_ACQUIRE); n++)
        cpu_pause();
}

static void unlock(void) { __atomic_clear(&print_lock, __ATOMIC_RELEASE); }

void print(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    lock();
    vprint(fmt, &ap);
    unlock();
    va_end(ap);
}

void pass(const char *name) { print("PASS %s\n", name); }

void fail(const char *name, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print("FAIL %s: ", name);
    lock();
    vprint(fmt, &ap);
    unlock();
    print("\n");
    va_end(ap);
    failures++;
}

void done(void)
{
    print("%s: %u failed\n", failures ? "FAILED" : "DONE", failures);
    guest_exit(failures ? EXIT_FAIL : EXIT_PASS);
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;
    for (size_t i = 0; i < n; i++)
        if (x[i] != y[i])
            return x[i] - y[i];
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i] || !a[i])
            return (unsigned char)a[i] - (unsigned char)b[i];
    return 0;
}
