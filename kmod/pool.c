// SPDX-License-Identifier: GPL-2.0-only
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <linux/kdbus.h>

#include "domain.h"
#include "pool.h"

/* A sender does not work hard for the memory of a receiver whose cgroup is full. */
#define KDBUS_POOL_GFP_SENDER	(__GFP_NORETRY | __GFP_NOWARN)
/* The owner of the pool is treated like anybody who touches memory. */
#define KDBUS_POOL_GFP_OWNER	0

static struct kmem_cache *kdbus_slice_cache;
static struct shrinker *kdbus_pool_shrinker;

/* All pools, least recently scanned first. */
static LIST_HEAD(kdbus_pool_list);
static DEFINE_SPINLOCK(kdbus_pool_list_lock);
static unsigned int kdbus_pool_count;
static atomic_long_t kdbus_pool_pages = ATOMIC_LONG_INIT(0);

/* ---- slices ---- */

static void kdbus_pool_insert_free(struct kdbus_pool *pool, struct kdbus_slice *slice)
{
	struct rb_node **link = &pool->free.rb_node, *parent = NULL;
	struct kdbus_slice *other;

	while (*link) {
		parent = *link;
		other = rb_entry(parent, struct kdbus_slice, node);
		if (slice->size < other->size ||
		    (slice->size == other->size && slice->offset < other->offset))
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&slice->node, parent, link);
	rb_insert_color(&slice->node, &pool->free);
}

static void kdbus_pool_insert_busy(struct kdbus_pool *pool, struct kdbus_slice *slice)
{
	struct rb_node **link = &pool->busy.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		if (slice->offset < rb_entry(parent, struct kdbus_slice, node)->offset)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&slice->node, parent, link);
	rb_insert_color(&slice->node, &pool->busy);
}

static struct kdbus_slice *kdbus_pool_find_free(struct kdbus_pool *pool, size_t size)
{
	struct rb_node *node = pool->free.rb_node;
	struct kdbus_slice *slice, *best = NULL;

	while (node) {
		slice = rb_entry(node, struct kdbus_slice, node);
		if (slice->size >= size) {
			best = slice;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return best;
}

/* The busy slice with the highest offset not above @offset. */
static struct kdbus_slice *kdbus_pool_find_busy(struct kdbus_pool *pool, size_t offset)
{
	struct rb_node *node = pool->busy.rb_node;
	struct kdbus_slice *slice, *best = NULL;

	while (node) {
		slice = rb_entry(node, struct kdbus_slice, node);
		if (slice->offset <= offset) {
			best = slice;
			node = node->rb_right;
		} else {
			node = node->rb_left;
		}
	}
	return best;
}

/**
 * kdbus_slice_new() - allocate what describes a slice
 * @pool:	where it will be
 *
 * Reserving happens where nothing can be allocated; this is done before. Like
 * the pages, it is the pool's owner who pays, and who frees it.
 *
 * Return: a slice without space, or NULL.
 */
struct kdbus_slice *kdbus_slice_new(struct kdbus_pool *pool)
{
	struct mem_cgroup *memcg = set_active_memcg(pool->memcg);
	struct kdbus_slice *slice;

	slice = kmem_cache_alloc(kdbus_slice_cache, GFP_KERNEL_ACCOUNT | KDBUS_POOL_GFP_SENDER);
	set_active_memcg(memcg);
	if (slice)
		kdbus_object_inc(KDBUS_OBJECT_SLICE);
	return slice;
}

/**
 * kdbus_slice_discard() - free a slice that has no space
 * @slice:	the slice, or NULL
 */
void kdbus_slice_discard(struct kdbus_slice *slice)
{
	if (!slice)
		return;
	kmem_cache_free(kdbus_slice_cache, slice);
	kdbus_object_dec(KDBUS_OBJECT_SLICE);
}

/**
 * kdbus_slice_reserve() - give a slice space
 * @slice:	a new slice
 * @pool:	where
 * @size:	bytes, a multiple of 8, not 0
 * @holder:	the first holder
 *
 * Does not sleep.
 *
 * Return: 0, or -EXFULL if no free extent is large enough; then the slice
 * remains as it was.
 */
int kdbus_slice_reserve(struct kdbus_slice *slice, struct kdbus_pool *pool, size_t size,
			unsigned int holder)
{
	struct kdbus_slice *extent;

	spin_lock(&pool->lock);
	extent = kdbus_pool_find_free(pool, size);
	if (!extent) {
		spin_unlock(&pool->lock);
		return -EXFULL;
	}

	pool->reserved++;
	slice->pool = pool;
	slice->offset = extent->offset;
	slice->size = size;
	slice->holders = holder;
	list_add_tail(&slice->entry, &extent->entry);
	kdbus_pool_insert_busy(pool, slice);

	rb_erase(&extent->node, &pool->free);
	extent->offset += size;
	extent->size -= size;
	if (extent->size > 0) {
		kdbus_pool_insert_free(pool, extent);
		extent = NULL;
	} else {
		list_del(&extent->entry);
	}
	spin_unlock(&pool->lock);

	kdbus_slice_discard(extent);
	return 0;
}

static void kdbus_slice_absorb(struct kdbus_slice *slice, struct kdbus_slice *other)
{
	rb_erase(&other->node, &slice->pool->free);
	list_del(&other->entry);
	slice->offset = min(slice->offset, other->offset);
	slice->size += other->size;
	kdbus_slice_discard(other);
}

/* Turn a slice nobody holds into free space. */
static void kdbus_slice_vacate(struct kdbus_slice *slice)
{
	struct kdbus_pool *pool = slice->pool;
	struct kdbus_slice *other;

	lockdep_assert_held(&pool->lock);

	rb_erase(&slice->node, &pool->busy);
	if (!list_is_first(&slice->entry, &pool->slices)) {
		other = list_prev_entry(slice, entry);
		if (!other->holders)
			kdbus_slice_absorb(slice, other);
	}
	if (!list_is_last(&slice->entry, &pool->slices)) {
		other = list_next_entry(slice, entry);
		if (!other->holders)
			kdbus_slice_absorb(slice, other);
	}
	kdbus_pool_insert_free(pool, slice);
}

/**
 * kdbus_slice_hold() - add a holder
 * @slice:	a slice the caller keeps from vanishing
 * @holder:	KDBUS_SLICE_*; adding one that is there already changes nothing
 */
void kdbus_slice_hold(struct kdbus_slice *slice, unsigned int holder)
{
	spin_lock(&slice->pool->lock);
	slice->holders |= holder;
	spin_unlock(&slice->pool->lock);
}

/**
 * kdbus_slice_hand_over() - make the user the only holder
 * @slice:	a slice the kernel holds; must not be used any more, as the user
 *		may free it at once
 */
void kdbus_slice_hand_over(struct kdbus_slice *slice)
{
	spin_lock(&slice->pool->lock);
	slice->holders = KDBUS_SLICE_USER;
	spin_unlock(&slice->pool->lock);
}

/**
 * kdbus_slice_release() - drop a holder
 * @slice:	the slice; must not be used any more unless another holder is known
 * @holder:	KDBUS_SLICE_*
 */
void kdbus_slice_release(struct kdbus_slice *slice, unsigned int holder)
{
	struct kdbus_pool *pool = slice->pool;

	spin_lock(&pool->lock);
	slice->holders &= ~holder;
	if (!slice->holders)
		kdbus_slice_vacate(slice);
	spin_unlock(&pool->lock);
}

/* ---- pages ---- */

static void kdbus_pool_put_page(struct page *page)
{
	put_page(page);
	atomic_long_dec(&kdbus_pool_pages);
	kdbus_object_dec(KDBUS_OBJECT_PAGE);
}

/*
 * The page at @index, made if there is none yet. It stays as long as a slice
 * covers it.
 */
static struct page *kdbus_pool_page(struct kdbus_pool *pool, pgoff_t index, gfp_t effort)
{
	const gfp_t gfp = GFP_HIGHUSER | __GFP_ACCOUNT | __GFP_ZERO | effort;
	struct mem_cgroup *memcg;
	struct page *page, *other;

	page = xa_load(&pool->pages, index);
	if (likely(page))
		return page;

	memcg = set_active_memcg(pool->memcg);
	page = alloc_page(gfp);
	if (page) {
		other = xa_cmpxchg(&pool->pages, index, NULL, page,
				   GFP_KERNEL_ACCOUNT | effort);
		if (!other) {
			atomic_long_inc(&kdbus_pool_pages);
			kdbus_object_inc(KDBUS_OBJECT_PAGE);
		} else {
			put_page(page);
			page = xa_is_err(other) ? NULL : other;
		}
	}
	set_active_memcg(memcg);

	return page;
}

/* Write @from, or @user if @from is NULL, or zeros if both are. */
static int kdbus_slice_fill(struct kdbus_slice *slice, size_t offset, size_t len,
			    const void *from, const void __user *user)
{
	size_t pos = slice->offset + offset, n;
	struct page *page;
	int ret = 0;
	void *map;

	for (; len > 0 && ret == 0; pos += n, len -= n) {
		page = kdbus_pool_page(slice->pool, pos >> PAGE_SHIFT, KDBUS_POOL_GFP_SENDER);
		if (!page)
			return -ENOMEM;

		n = min_t(size_t, len, PAGE_SIZE - offset_in_page(pos));
		map = kmap_local_page(page);
		if (from) {
			memcpy(map + offset_in_page(pos), from, n);
			from += n;
		} else if (user) {
			if (copy_from_user(map + offset_in_page(pos), user, n))
				ret = -EFAULT;
			user += n;
		} else {
			memset(map + offset_in_page(pos), 0, n);
		}
		kunmap_local(map);
	}
	return ret;
}

/**
 * kdbus_slice_write() - write kernel memory to a slice
 * @slice:	the slice
 * @offset:	where in it
 * @from:	what
 * @len:	how many bytes
 *
 * Return: 0 or -ENOMEM.
 */
int kdbus_slice_write(struct kdbus_slice *slice, size_t offset, const void *from, size_t len)
{
	return kdbus_slice_fill(slice, offset, len, from, NULL);
}

/**
 * kdbus_slice_write_user() - copy user memory to a slice
 * @slice:	the slice
 * @offset:	where in it
 * @from:	what, not NULL
 * @len:	how many bytes
 *
 * This is the one copy a payload goes through. It may take as long as the
 * owner of the memory likes: no lock may be held.
 *
 * Return: 0, -EFAULT or -ENOMEM.
 */
int kdbus_slice_write_user(struct kdbus_slice *slice, size_t offset, const void __user *from,
			   size_t len)
{
	return kdbus_slice_fill(slice, offset, len, NULL, from);
}

/**
 * kdbus_slice_zero() - write zeros to a slice
 * @slice:	the slice
 * @offset:	where in it
 * @len:	how many bytes
 *
 * Return: 0 or -ENOMEM.
 */
int kdbus_slice_zero(struct kdbus_slice *slice, size_t offset, size_t len)
{
	return kdbus_slice_fill(slice, offset, len, NULL, NULL);
}

/**
 * kdbus_slice_copy() - copy a slice, usually of another pool
 * @slice:	the slice
 * @from:	what to copy, completely written and of the same size
 *
 * Return: 0 or -ENOMEM.
 */
int kdbus_slice_copy(struct kdbus_slice *slice, struct kdbus_slice *from)
{
	size_t done, n;
	struct page *page;
	int ret = 0;
	void *map;

	for (done = 0; done < from->size && ret == 0; done += n) {
		n = min_t(size_t, from->size - done,
			  PAGE_SIZE - offset_in_page(from->offset + done));
		/* cannot fail: it was written before */
		page = kdbus_pool_page(from->pool, (from->offset + done) >> PAGE_SHIFT,
				       KDBUS_POOL_GFP_SENDER);
		if (WARN_ON_ONCE(!page))
			return -ENOMEM;
		map = kmap_local_page(page);
		ret = kdbus_slice_write(slice, done, map + offset_in_page(from->offset + done), n);
		kunmap_local(map);
	}
	return ret;
}

/**
 * kdbus_pool_publish() - hand the result of a command to the user
 * @pool:	the pool
 * @from:	the result
 * @len:	its size; the slice is as large, rounded up to 8
 * @offset:	where to store the slice's offset
 *
 * Return: 0, -EXFULL or -ENOMEM.
 */
int kdbus_pool_publish(struct kdbus_pool *pool, const void *from, size_t len, u64 *offset)
{
	struct kdbus_slice *slice;
	int ret;

	slice = kdbus_slice_new(pool);
	if (!slice)
		return -ENOMEM;
	ret = kdbus_slice_reserve(slice, pool, ALIGN(len, 8), KDBUS_SLICE_KERNEL);
	if (ret < 0) {
		kdbus_slice_discard(slice);
		return ret;
	}

	ret = kdbus_slice_write(slice, 0, from, len);
	if (ret == 0)
		ret = kdbus_slice_zero(slice, len, ALIGN(len, 8) - len);
	if (ret < 0) {
		kdbus_slice_release(slice, KDBUS_SLICE_KERNEL);
		return ret;
	}

	*offset = slice->offset;
	kdbus_slice_hand_over(slice);
	return 0;
}

/* ---- mappings ---- */

static void kdbus_pool_vm_open(struct vm_area_struct *vma)
{
	struct kdbus_pool *pool = vma->vm_private_data;

	kref_get(&pool->kref);
}

static void kdbus_pool_vm_close(struct vm_area_struct *vma)
{
	kdbus_pool_put(vma->vm_private_data);
}

static vm_fault_t kdbus_pool_vm_fault(struct vm_fault *vmf)
{
	struct kdbus_pool *pool = vmf->vma->vm_private_data;
	struct page *page;

	if (vmf->pgoff >= pool->size >> PAGE_SHIFT)
		return VM_FAULT_SIGBUS;

	for (;;) {
		if (!kdbus_pool_page(pool, vmf->pgoff, KDBUS_POOL_GFP_OWNER))
			return VM_FAULT_OOM;

		spin_lock(&pool->lock);
		page = xa_load(&pool->pages, vmf->pgoff);
		if (page)
			get_page(page);
		spin_unlock(&pool->lock);
		if (!page)
			continue;

		/*
		 * Reclaim holds the page lock from unmapping a page until it
		 * is out of the pool, so that no stale mapping comes back.
		 */
		lock_page(page);
		if (xa_load(&pool->pages, vmf->pgoff) == page)
			break;
		unlock_page(page);
		put_page(page);
	}

	vmf->page = page;
	return VM_FAULT_LOCKED;
}

static const struct vm_operations_struct kdbus_pool_vm_ops = {
	.open	= kdbus_pool_vm_open,
	.close	= kdbus_pool_vm_close,
	.fault	= kdbus_pool_vm_fault,
};

/**
 * kdbus_pool_mmap() - map a pool
 * @pool:	the pool
 * @vma:	the new mapping
 *
 * The mapping refers to the pool's own file, so that it neither keeps the
 * connection alive nor ends with it.
 *
 * Return: 0, -EPERM for a writable mapping, or -EFAULT for one larger than
 * the pool.
 */
int kdbus_pool_mmap(struct kdbus_pool *pool, struct vm_area_struct *vma)
{
	if (vma->vm_flags & VM_WRITE)
		return -EPERM;
	if (vma->vm_end - vma->vm_start > pool->size)
		return -EFAULT;

	kdbus_compat_vm_flags_clear(vma, VM_MAYWRITE);
	kdbus_compat_vm_flags_set(vma, VM_DONTEXPAND);
	vma_set_file(vma, pool->file);
	vma->vm_private_data = pool;
	vma->vm_ops = &kdbus_pool_vm_ops;
	kdbus_pool_vm_open(vma);
	return 0;
}

/* ---- reclaim ---- */

static bool kdbus_pool_page_idle(struct kdbus_pool *pool, pgoff_t index)
{
	size_t first = (size_t)index << PAGE_SHIFT;
	struct kdbus_slice *slice;

	lockdep_assert_held(&pool->lock);

	slice = kdbus_pool_find_busy(pool, first + PAGE_SIZE - 1);
	return !slice || slice->offset + slice->size <= first;
}

static bool kdbus_pool_reclaim_page(struct kdbus_pool *pool, pgoff_t index)
{
	struct page *page;
	bool idle;

	spin_lock(&pool->lock);
	page = xa_load(&pool->pages, index);
	idle = page && kdbus_pool_page_idle(pool, index);
	if (idle)
		get_page(page);
	spin_unlock(&pool->lock);
	if (!idle)
		return false;

	if (!trylock_page(page)) {
		put_page(page);
		return false;
	}

	/* From here no fault can map the page; see kdbus_pool_vm_fault(). */
	unmap_mapping_range(pool->file->f_mapping, (loff_t)index << PAGE_SHIFT, PAGE_SIZE, 1);

	spin_lock(&pool->lock);
	idle = xa_load(&pool->pages, index) == page && kdbus_pool_page_idle(pool, index);
	if (idle)
		xa_erase(&pool->pages, index);
	spin_unlock(&pool->lock);

	unlock_page(page);
	put_page(page);
	if (idle)
		kdbus_pool_put_page(page);
	return idle;
}

/**
 * kdbus_pool_free_offset() - drop the user's hold on a slice
 * @pool:	the pool
 * @offset:	offset that was reported to user space
 *
 * Return: 0, or -ENXIO if the user holds no slice at that offset.
 */
int kdbus_pool_free_offset(struct kdbus_pool *pool, u64 offset)
{
	struct kdbus_slice *slice;
	bool first = false;
	int ret = -ENXIO;

	/* what commands with an empty result report */
	if (offset == pool->size)
		return 0;
	if (offset > pool->size)
		return -ENXIO;

	spin_lock(&pool->lock);
	slice = kdbus_pool_find_busy(pool, offset);
	if (slice && slice->offset == offset && slice->holders & KDBUS_SLICE_USER) {
		slice->holders &= ~KDBUS_SLICE_USER;
		if (!slice->holders)
			kdbus_slice_vacate(slice);
		first = pool->reserved == 1;
		ret = 0;
	}
	spin_unlock(&pool->lock);

	if (first)
		kdbus_pool_reclaim_page(pool, 0);

	return ret;
}

/* Look at some pages of a pool, where the last look ended; @budget says how many. */
static unsigned long kdbus_pool_reclaim(struct kdbus_pool *pool, unsigned long *budget)
{
	unsigned long index, freed = 0, next = 0;
	struct page *page;

	xa_for_each_start(&pool->pages, index, page, READ_ONCE(pool->cursor)) {
		if (*budget == 0) {
			next = index;
			break;
		}
		--*budget;
		if (kdbus_pool_reclaim_page(pool, index))
			freed++;
		cond_resched();
	}
	WRITE_ONCE(pool->cursor, next);
	return freed;
}

static unsigned long kdbus_pool_shrink_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	return atomic_long_read(&kdbus_pool_pages);
}

/* The pool that was scanned longest ago, referenced, or NULL. */
static struct kdbus_pool *kdbus_pool_next_to_scan(void)
{
	struct kdbus_pool *pool;

	spin_lock(&kdbus_pool_list_lock);
	list_for_each_entry(pool, &kdbus_pool_list, reclaim) {
		if (kref_get_unless_zero(&pool->kref)) {
			list_move_tail(&pool->reclaim, &kdbus_pool_list);
			spin_unlock(&kdbus_pool_list_lock);
			return pool;
		}
	}
	spin_unlock(&kdbus_pool_list_lock);
	return NULL;
}

static unsigned long kdbus_pool_shrink_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned int rounds = READ_ONCE(kdbus_pool_count);
	unsigned long freed = 0, budget = sc->nr_to_scan;
	struct kdbus_pool *pool;

	/* unmapping takes locks of the file's mapping */
	if (!(sc->gfp_mask & __GFP_FS))
		return SHRINK_STOP;

	for (; rounds > 0 && budget > 0; rounds--) {
		pool = kdbus_pool_next_to_scan();
		if (!pool)
			break;
		freed += kdbus_pool_reclaim(pool, &budget);
		kdbus_pool_put(pool);
		cond_resched();
	}

	/* who asks for more than there is would ask again for ever */
	if (budget == sc->nr_to_scan)
		return SHRINK_STOP;
	sc->nr_scanned = sc->nr_to_scan - budget;
	return freed;
}

/* ---- life ---- */

/*
 * A pool's file is of shmem, but holds the module: mappings outlive the handle
 * they were made through, and their operations are ours.
 */
static const struct file_operations kdbus_pool_fops = {
	.owner	= THIS_MODULE,
	.llseek	= noop_llseek,
};

/**
 * kdbus_pool_new() - make a pool
 * @description:	shown in /proc/PID/maps; may be NULL
 * @size:		bytes, a multiple of the page size, not 0
 *
 * Pages are charged to the memory cgroup of the calling process.
 *
 * Return: the pool, or an error pointer: -EINVAL for an absurd size, -ENOMEM.
 */
struct kdbus_pool *kdbus_pool_new(const char *description, u64 size)
{
	struct kdbus_slice *slice = NULL;
	struct kdbus_pool *pool;
	char *name = NULL;
	int ret = -ENOMEM;

	if (size > MAX_LFS_FILESIZE || size > SIZE_MAX)
		return ERR_PTR(-EINVAL);

	pool = kzalloc(sizeof(*pool), GFP_KERNEL_ACCOUNT);
	if (!pool)
		return ERR_PTR(-ENOMEM);

	pool->memcg = get_mem_cgroup_from_mm(current->mm);
	slice = kdbus_slice_new(pool);
	if (!slice)
		goto err_free;
	if (description) {
		name = kasprintf(GFP_KERNEL, "kdbus-conn:%s", description);
		if (!name)
			goto err_free;
	}

	pool->file = kdbus_compat_shmem_file(name ? name : "kdbus-conn", size);
	if (IS_ERR(pool->file)) {
		/* shmem also says ENOSPC for want of an inode */
		ret = PTR_ERR(pool->file) == -EINVAL ? -EINVAL : -ENOMEM;
		goto err_free;
	}
	kfree(name);
	/* dropped with the file */
	__module_get(kdbus_pool_fops.owner);
	pool->file->f_op = &kdbus_pool_fops;

	kref_init(&pool->kref);
	pool->size = size;
	spin_lock_init(&pool->lock);
	INIT_LIST_HEAD(&pool->slices);
	pool->busy = RB_ROOT;
	pool->free = RB_ROOT;
	xa_init_flags(&pool->pages, XA_FLAGS_ACCOUNT);

	*slice = (struct kdbus_slice){ .pool = pool, .size = size };
	list_add(&slice->entry, &pool->slices);
	kdbus_pool_insert_free(pool, slice);

	spin_lock(&kdbus_pool_list_lock);
	list_add_tail(&pool->reclaim, &kdbus_pool_list);
	WRITE_ONCE(kdbus_pool_count, kdbus_pool_count + 1);
	spin_unlock(&kdbus_pool_list_lock);

	kdbus_object_inc(KDBUS_OBJECT_POOL);
	return pool;

err_free:
	kfree(name);
	kdbus_slice_discard(slice);
	mem_cgroup_put(pool->memcg);
	kfree(pool);
	return ERR_PTR(ret);
}

static void kdbus_pool_free(struct kref *kref)
{
	struct kdbus_pool *pool = container_of(kref, struct kdbus_pool, kref);
	struct kdbus_slice *slice, *next;
	unsigned long index;
	struct page *page;

	spin_lock(&kdbus_pool_list_lock);
	list_del(&pool->reclaim);
	WRITE_ONCE(kdbus_pool_count, kdbus_pool_count - 1);
	spin_unlock(&kdbus_pool_list_lock);

	list_for_each_entry_safe(slice, next, &pool->slices, entry) {
		kdbus_slice_discard(slice);
		cond_resched();
	}
	xa_for_each(&pool->pages, index, page) {
		kdbus_pool_put_page(page);
		cond_resched();
	}
	xa_destroy(&pool->pages);
	mem_cgroup_put(pool->memcg);
	fput(pool->file);
	kfree(pool);
	kdbus_object_dec(KDBUS_OBJECT_POOL);
}

/**
 * kdbus_pool_put() - drop a reference to a pool
 * @pool:	the pool, or NULL
 *
 * With the last reference all slices go, whoever holds them.
 */
void kdbus_pool_put(struct kdbus_pool *pool)
{
	if (pool)
		kref_put(&pool->kref, kdbus_pool_free);
}

int kdbus_pool_init(void)
{
	kdbus_slice_cache = KMEM_CACHE(kdbus_slice, 0);
	if (!kdbus_slice_cache)
		return -ENOMEM;

	kdbus_pool_shrinker = kdbus_compat_shrinker_new("kdbus-pool", kdbus_pool_shrink_count,
							kdbus_pool_shrink_scan);
	if (IS_ERR(kdbus_pool_shrinker)) {
		kmem_cache_destroy(kdbus_slice_cache);
		return PTR_ERR(kdbus_pool_shrinker);
	}
	return 0;
}

void kdbus_pool_exit(void)
{
	kdbus_compat_shrinker_free(kdbus_pool_shrinker);
	kmem_cache_destroy(kdbus_slice_cache);
}
