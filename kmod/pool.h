/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Pool
 *
 * A pool is the memory in which a connection receives: the kernel writes, the
 * connection's owner reads through a mapping. It is an array of pages that
 * start to exist when something is first written to (or read from) them. They
 * are charged to the memory cgroup of the pool's owner, whoever writes. They
 * stay allocated and mapped when their content is freed, so that steady
 * traffic touches neither the page allocator nor page tables, and are given
 * back under memory pressure when no slice covers them. (The page of the first
 * slice, a connection's HELLO, is given back at once: most connections idle.)
 * How much an owner may
 * pin by never freeing what it received is up to that cgroup's limit.
 *
 * Space is handed out in slices. The smallest free extent that suffices is
 * taken and cut from its low end; neighbouring free extents merge at once.
 * That costs O(log n) under the pool's lock, a spinlock held for nothing else.
 * Content is written without it: a slice belongs to its writer alone until it
 * is handed on.
 *
 * A slice has up to two holders: the kernel while the message in it is queued,
 * the user from the moment its offset was reported until FREE. It becomes free
 * space when neither is left.
 *
 * The pool knows nothing of connections or messages.
 */
#ifndef KDBUS_POOL_H
#define KDBUS_POOL_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/xarray.h>

struct file;
struct mem_cgroup;
struct vm_area_struct;

/* Who holds a slice. */
#define KDBUS_SLICE_KERNEL	BIT(0)
#define KDBUS_SLICE_USER	BIT(1)

/**
 * struct kdbus_slice - an extent of a pool, in use or free
 * @pool:	the pool
 * @offset:	first byte, a multiple of 8
 * @size:	bytes, a multiple of 8
 * @holders:	KDBUS_SLICE_*, 0 for a free extent; pool lock
 * @entry:	in the pool's list by offset; pool lock
 * @node:	in the tree of busy slices by offset, or of free ones by size;
 *		pool lock
 *
 * A holder may read @pool, @offset and @size without the lock.
 */
struct kdbus_slice {
	struct kdbus_pool *pool;
	size_t offset;
	size_t size;
	unsigned int holders;
	struct list_head entry;
	struct rb_node node;
};

/**
 * struct kdbus_pool - receive memory
 * @kref:	held by the connection and by each mapping
 * @size:	bytes
 * @lock:	protects the slices, and pages against disappearing
 * @reserved:	how many slices there have been
 * @slices:	all slices and free extents, by offset
 * @busy:	slices, by offset
 * @free:	free extents, by size and offset
 * @pages:	the pages that exist, by index; entries are removed under @lock
 *		and only while no slice covers them
 * @memcg:	who pays for the pages
 * @file:	identity of the mappings; holds the module, but no pages
 * @reclaim:	in the shrinker's list
 * @cursor:	page the shrinker looks at next
 */
struct kdbus_pool {
	struct kref kref;
	size_t size;
	spinlock_t lock; /* see above */
	u64 reserved;
	struct list_head slices;
	struct rb_root busy;
	struct rb_root free;
	struct xarray pages;
	struct mem_cgroup *memcg;
	struct file *file;
	struct list_head reclaim;
	unsigned long cursor;
};

struct kdbus_pool *kdbus_pool_new(const char *description, u64 size);
void kdbus_pool_put(struct kdbus_pool *pool);

struct kdbus_slice *kdbus_slice_new(struct kdbus_pool *pool);
void kdbus_slice_discard(struct kdbus_slice *slice);
int kdbus_slice_reserve(struct kdbus_slice *slice, struct kdbus_pool *pool, size_t size,
			unsigned int holder);
void kdbus_slice_hold(struct kdbus_slice *slice, unsigned int holder);
void kdbus_slice_hand_over(struct kdbus_slice *slice);
void kdbus_slice_release(struct kdbus_slice *slice, unsigned int holder);
int kdbus_pool_free_offset(struct kdbus_pool *pool, u64 offset);

int kdbus_slice_write(struct kdbus_slice *slice, size_t offset, const void *from, size_t len);
int kdbus_slice_write_user(struct kdbus_slice *slice, size_t offset, const void __user *from,
			   size_t len);
int kdbus_slice_copy(struct kdbus_slice *slice, struct kdbus_slice *from);
int kdbus_slice_zero(struct kdbus_slice *slice, size_t offset, size_t len);

int kdbus_pool_publish(struct kdbus_pool *pool, const void *from, size_t len, u64 *offset);
int kdbus_pool_mmap(struct kdbus_pool *pool, struct vm_area_struct *vma);

int kdbus_pool_init(void);
void kdbus_pool_exit(void);

#endif /* KDBUS_POOL_H */
