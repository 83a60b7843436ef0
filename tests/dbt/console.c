/* SPDX-License-Identifier: BSD-2-Clause */
/* The console and the clock of the hosted program. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "hosted.h"

static struct termios saved;
static bool is_raw, at_end;

static void put(void *ctx, const char *s, size_t n)
{
    (void)ctx;
    while (n) {
        ssize_t done = write(STDOUT_FILENO, s, n);

        if (done < 0 && errno != EINTR && errno != EAGAIN)
            return;
        if (done > 0) {
            s += done;
            n -= (size_t)done;
        }
    }
}

static bool has_input(int milliseconds)
{
    struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

    if (at_end) {
        if (milliseconds > 0)
            poll(NULL, 0, milliseconds);
        return false;
    }
    return poll(&p, 1, milliseconds) > 0;
}

static size_t get(void *ctx, char *to, size_t room)
{
    ssize_t n;

    (void)ctx;
    if (!room || !has_input(0))
        return 0;
    n = read(STDIN_FILENO, to, room);
    if (n == 0)
        at_end = true;
    return n > 0 ? (size_t)n : 0;
}

static uint64_t ticks(void *ctx)
{
    struct timespec now;

    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * RVM_TIMEBASE +
           (uint64_t)now.tv_nsec / (1000000000 / RVM_TIMEBASE);
}

const struct rvm_host hosted_host = { .put = put, .get = get, .time = ticks };

void hosted_console_close(void)
{
    if (is_raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    is_raw = false;
}

void hosted_console_open(bool raw)
{
    struct termios t;

    if (!raw || tcgetattr(STDIN_FILENO, &saved) != 0)
        return;
    t = saved;
    cfmakeraw(&t);
    t.c_oflag |= OPOST;
    t.c_lflag |= ISIG;
    is_raw = tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0;
    atexit(hosted_console_close);
}

void hosted_console_wait(uint64_t wait)
{
    uint64_t ms = wait / (RVM_TIMEBASE / 1000);

    if (wait)
        has_input(ms > 1000 ? 1000 : (int)ms + 1);
}
