// SPDX-License-Identifier: GPL-2.0-only
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/hashtable.h>
#include <linux/idr.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "bus.h"
#include "domain.h"

DEFINE_PER_CPU(long[KDBUS_OBJECT_N], kdbus_objects);

static const char *const kdbus_object_names[KDBUS_OBJECT_N] = {
	[KDBUS_OBJECT_HANDLE]		= "handle",
	[KDBUS_OBJECT_NODE]		= "node",
	[KDBUS_OBJECT_BUS]		= "bus",
	[KDBUS_OBJECT_ENDPOINT]		= "endpoint",
	[KDBUS_OBJECT_CONNECTION]	= "connection",
	[KDBUS_OBJECT_USER]		= "user",
	[KDBUS_OBJECT_NAME]		= "name",
	[KDBUS_OBJECT_NAME_OWNER]	= "name_owner",
	[KDBUS_OBJECT_MATCH]		= "match",
	[KDBUS_OBJECT_POLICY]		= "policy",
	[KDBUS_OBJECT_POOL]		= "pool",
	[KDBUS_OBJECT_SLICE]		= "slice",
	[KDBUS_OBJECT_PAGE]		= "page",
	[KDBUS_OBJECT_MESSAGE]		= "message",
	[KDBUS_OBJECT_FILES]		= "files",
	[KDBUS_OBJECT_REPLY]		= "reply",
	[KDBUS_OBJECT_NOTIFICATION]	= "notification",
};

/* Protects the tables below; no other lock of ours is taken inside it. */
static DEFINE_MUTEX(kdbus_domain_lock);
static DEFINE_HASHTABLE(kdbus_domain_users, 6);
static DEFINE_IDA(kdbus_domain_user_ids);
static LIST_HEAD(kdbus_domain_buses);

static atomic64_t kdbus_domain_last_id = ATOMIC64_INIT(0);
static struct kdbus_user kdbus_domain_kernel_user;
static struct dentry *kdbus_domain_debugfs;

/**
 * kdbus_domain_new_id() - draw an id for a bus or connection
 *
 * Return: an id that was never used before; the first is 1.
 */
u64 kdbus_domain_new_id(void)
{
	return atomic64_inc_return(&kdbus_domain_last_id);
}

/**
 * kdbus_user_kernel() - the account of the kernel's own notifications
 *
 * Return: a user that is never freed and needs no reference.
 */
struct kdbus_user *kdbus_user_kernel(void)
{
	return &kdbus_domain_kernel_user;
}

static struct kdbus_user *kdbus_user_new(kuid_t uid)
{
	struct kdbus_user *user;
	int id;

	user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	if (!user)
		return ERR_PTR(-ENOMEM);

	/* 0 is the kernel's */
	id = ida_alloc_min(&kdbus_domain_user_ids, 1, GFP_KERNEL);
	if (id < 0) {
		kfree(user);
		return ERR_PTR(-ENOMEM);
	}

	kref_init(&user->kref);
	user->uid = uid;
	user->id = id;
	INIT_HLIST_NODE(&user->entry);
	kdbus_object_inc(KDBUS_OBJECT_USER);
	return user;
}

/**
 * kdbus_user_new_private() - make an account that belongs to no uid
 *
 * Return: a referenced user, or an error pointer (-ENOMEM).
 */
struct kdbus_user *kdbus_user_new_private(void)
{
	return kdbus_user_new(INVALID_UID);
}

/**
 * kdbus_user_lookup() - find or make the account of a uid
 * @uid:	the real uid
 *
 * Return: a referenced user, or an error pointer (-ENOMEM).
 */
struct kdbus_user *kdbus_user_lookup(kuid_t uid)
{
	struct kdbus_user *user;

	mutex_lock(&kdbus_domain_lock);
	hash_for_each_possible(kdbus_domain_users, user, entry, __kuid_val(uid)) {
		if (uid_eq(user->uid, uid)) {
			kref_get(&user->kref);
			goto unlock;
		}
	}

	user = kdbus_user_new(uid);
	if (!IS_ERR(user))
		hash_add(kdbus_domain_users, &user->entry, __kuid_val(uid));
unlock:
	mutex_unlock(&kdbus_domain_lock);
	return user;
}

struct kdbus_user *kdbus_user_get(struct kdbus_user *user)
{
	kref_get(&user->kref);
	return user;
}

static void kdbus_user_free(struct kref *kref)
{
	struct kdbus_user *user = container_of(kref, struct kdbus_user, kref);

	ida_free(&kdbus_domain_user_ids, user->id);
	WARN_ON(atomic_read(&user->buses) || atomic_read(&user->conns) ||
		atomic_read(&user->sockets));
	kfree(user);
	kdbus_object_dec(KDBUS_OBJECT_USER);
}

static void kdbus_user_forget(struct kref *kref)
{
	lockdep_assert_held(&kdbus_domain_lock);

	hash_del(&container_of(kref, struct kdbus_user, kref)->entry);
	mutex_unlock(&kdbus_domain_lock);
	kdbus_user_free(kref);
}

/**
 * kdbus_user_put() - drop a reference to a user
 * @user:	the user, or NULL
 *
 * May be called with a spinlock held if the user is private.
 */
void kdbus_user_put(struct kdbus_user *user)
{
	if (!user)
		return;
	if (uid_valid(user->uid))
		kref_put_mutex(&user->kref, kdbus_user_forget, &kdbus_domain_lock);
	else
		kref_put(&user->kref, kdbus_user_free);
}

/**
 * kdbus_user_charge() - take one of a limited number
 * @count:	the counter
 * @limit:	how far it may go
 *
 * Return: 0, or -EMFILE if the limit is reached.
 */
int kdbus_user_charge(atomic_t *count, int limit)
{
	return atomic_add_unless(count, 1, limit) ? 0 : -EMFILE;
}

/**
 * kdbus_domain_add_bus() - make a bus known
 * @bus:	the bus; its name must not be in use
 *
 * Return: 0, or -EEXIST.
 */
int kdbus_domain_add_bus(struct kdbus_bus *bus)
{
	struct kdbus_bus *other;
	int ret = 0;

	mutex_lock(&kdbus_domain_lock);
	list_for_each_entry(other, &kdbus_domain_buses, domain_entry) {
		if (!strcmp(other->name, bus->name)) {
			ret = -EEXIST;
			break;
		}
	}
	if (ret == 0)
		list_add_tail(&bus->domain_entry, &kdbus_domain_buses);
	mutex_unlock(&kdbus_domain_lock);

	return ret;
}

/**
 * kdbus_domain_remove_bus() - free the name of a bus for others
 * @bus:	a bus that was added
 */
void kdbus_domain_remove_bus(struct kdbus_bus *bus)
{
	mutex_lock(&kdbus_domain_lock);
	list_del_init(&bus->domain_entry);
	mutex_unlock(&kdbus_domain_lock);
}

static int kdbus_objects_show(struct seq_file *seq, void *unused)
{
	unsigned int i;
	long sum;
	int cpu;

	for (i = 0; i < KDBUS_OBJECT_N; i++) {
		sum = 0;
		for_each_possible_cpu(cpu)
			sum += READ_ONCE(per_cpu(kdbus_objects, cpu)[i]);
		seq_printf(seq, "%s %ld\n", kdbus_object_names[i], sum);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(kdbus_objects);

int kdbus_domain_init(void)
{
	kref_init(&kdbus_domain_kernel_user.kref);
	kdbus_domain_kernel_user.uid = INVALID_UID;

	kdbus_domain_debugfs = debugfs_create_dir("kdbus", NULL);
	debugfs_create_file("objects", 0444, kdbus_domain_debugfs, NULL, &kdbus_objects_fops);
	return 0;
}

void kdbus_domain_exit(void)
{
	debugfs_remove_recursive(kdbus_domain_debugfs);
	WARN_ON(!list_empty(&kdbus_domain_buses) || !hash_empty(kdbus_domain_users));
	ida_destroy(&kdbus_domain_user_ids);
}
