/* Block devices of the host (RAM disks now). Completion is an event, so nothing ever sleeps. */
#pragma once
#include <hv/event.h>
#include <hv/types.h>
enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES };
struct blk_dev;
/* sector and nsectors in 512-byte units; iov for READ (device writes it) and WRITE. status: 0 or -Exxx, set before `done` is posted. */
struct blk_req { struct event done; uint64_t sector, nsectors; const struct iov *iov; uint16_t niov; uint8_t op; int status; };
struct blk_ops { int (*submit)(struct blk_dev *, struct blk_req *); void (*destroy)(struct blk_dev *); };
struct blk_dev { const struct blk_ops *ops; uint64_t sectors; bool ro; char name[32]; };
/* A private, writable copy of a loaded file (copy on write by 64 KiB pieces, so that many guests share one file). */
int must_check ramdisk_create(const char *path, bool ro, struct blk_dev **);
