// SPDX-License-Identifier: GPL-2.0-only
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs_struct.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/path.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

#include "buffer.h"
#include "connection.h"
#include "metadata.h"
#include "name.h"

/* How ids that are unknown are written, and given at HELLO. */
#define KDBUS_META_ID_UNSET	0xffffffffULL

static unsigned long long kdbus_attach_flags_mask = _KDBUS_ATTACH_ALL;
module_param_named(attach_flags_mask, kdbus_attach_flags_mask, ullong, 0644);
MODULE_PARM_DESC(attach_flags_mask, "Metadata that may be attached (KDBUS_ATTACH_*; default all)");

/**
 * kdbus_meta_mask() - leave out what is withheld from everybody
 * @mask:	KDBUS_ATTACH_*
 *
 * Return: what remains.
 */
u64 kdbus_meta_mask(u64 mask)
{
	/* whoever writes the parameter stores it as a whole, but says so nowhere */
	return mask & data_race(READ_ONCE(kdbus_attach_flags_mask));
}

/* ---- looking at the running thread ---- */

/* A text, or an error pointer for lack of memory. */
static char *kdbus_meta_text(char *text)
{
	return text ?: ERR_PTR(-ENOMEM);
}

/* Keep a text, if there is one. Bits of what does not exist leave the mask. */
static char *kdbus_meta_keep(struct kdbus_meta_process *process, u64 kind, char *text)
{
	if (IS_ERR(text))
		process->failed |= kind;
	if (!IS_ERR_OR_NULL(text))
		return text;
	process->mask &= ~kind;
	return NULL;
}

static struct file *kdbus_meta_exe(void)
{
	return current->mm ? kdbus_compat_mm_exe_file(current->mm) : NULL;
}

/*
 * The first argument; no text if there is none, if it is not readable, or if it
 * does not end where arguments end. The memory is the sender's own, and nobody
 * else waits for it.
 */
static char *kdbus_meta_cmdline(void)
{
	unsigned long start, end;
	char *text, *kept = NULL;
	size_t size;
	long len;

	if (!current->mm)
		return NULL;
	spin_lock(&current->mm->arg_lock);
	start = current->mm->arg_start;
	end = current->mm->arg_end;
	spin_unlock(&current->mm->arg_lock);
	if (start >= end)
		return NULL;

	size = min_t(unsigned long, end - start, PATH_MAX);
	text = kmalloc(size, GFP_KERNEL_ACCOUNT);
	if (!text)
		return ERR_PTR(-ENOMEM);
	len = strncpy_from_user(text, (const char __user *)start, size);
	if (len >= 0 && len < size)
		kept = kdbus_meta_text(kstrdup(text, GFP_KERNEL_ACCOUNT));
	kfree(text);
	return kept;
}

#ifdef CONFIG_CGROUPS
/* The path in the unified hierarchy, from its root. */
static char *kdbus_meta_cgroup(void)
{
	char *text, *kept = NULL;
	int len;

	text = kmalloc(PATH_MAX, GFP_KERNEL_ACCOUNT);
	if (!text)
		return ERR_PTR(-ENOMEM);
	rcu_read_lock();
	len = kernfs_path_from_node(task_dfl_cgroup(current)->kn, NULL, text, PATH_MAX);
	rcu_read_unlock();
	/* some kernels return no more than fits: a full buffer may be cut off */
	if (len > 0 && len < PATH_MAX - 1)
		kept = kdbus_meta_text(kstrdup(text, GFP_KERNEL_ACCOUNT));
	kfree(text);
	return kept;
}
#else
static char *kdbus_meta_cgroup(void)
{
	return NULL;
}
#endif

static char *kdbus_meta_seclabel(void)
{
	struct kdbus_compat_seclabel label;
	char *text;

	if (!kdbus_compat_seclabel_current(&label))
		return NULL;
	/* whether the terminator counts depends on the security module */
	text = kdbus_meta_text(kstrndup(label.text, label.len, GFP_KERNEL_ACCOUNT));
	kdbus_compat_seclabel_release(&label);
	return text;
}

/* What is expensive to find out. */
static void kdbus_meta_process_texts(struct kdbus_meta_process *process)
{
	if (process->mask & KDBUS_ATTACH_EXE) {
		process->exe = kdbus_meta_exe();
		if (!process->exe)
			process->mask &= ~KDBUS_ATTACH_EXE;
	}
	if (process->mask & KDBUS_ATTACH_CMDLINE)
		process->cmdline = kdbus_meta_keep(process, KDBUS_ATTACH_CMDLINE,
						   kdbus_meta_cmdline());
	if (process->mask & KDBUS_ATTACH_CGROUP)
		process->cgroup = kdbus_meta_keep(process, KDBUS_ATTACH_CGROUP,
						  kdbus_meta_cgroup());
	if (process->mask & KDBUS_ATTACH_SECLABEL)
		process->seclabel = kdbus_meta_keep(process, KDBUS_ATTACH_SECLABEL,
						    kdbus_meta_seclabel());
	if (process->mask & KDBUS_ATTACH_AUDIT) {
		process->loginuid = audit_get_loginuid(current);
		process->sessionid = audit_get_sessionid(current);
		if (!IS_ENABLED(CONFIG_AUDIT))
			process->mask &= ~KDBUS_ATTACH_AUDIT;
	}
}

/* What is found out at some cost. */
#define KDBUS_META_COSTLY							\
	(KDBUS_ATTACH_EXE | KDBUS_ATTACH_CMDLINE | KDBUS_ATTACH_CGROUP |	\
	 KDBUS_ATTACH_SECLABEL | KDBUS_ATTACH_AUDIT)

/**
 * kdbus_meta_process_current() - describe the running thread
 * @process:	filled in; to be released
 * @mask:	what is wanted, KDBUS_ATTACH_*
 *
 * Most of it is borrowed: it is valid as long as the thread does not leave the
 * system call.
 */
void kdbus_meta_process_current(struct kdbus_meta_process *process, u64 mask)
{
	const struct cred *cred = current_cred();

	process->mask = mask & KDBUS_META_PROCESS;
	process->pinned = false;
	process->failed = 0;
	process->cred = NULL;
	memset(process->pid, 0, sizeof(process->pid));
	process->exe = NULL;
	process->cmdline = NULL;
	process->cgroup = NULL;
	process->seclabel = NULL;

	if (mask & KDBUS_ATTACH_CREDS) {
		process->uid[0] = cred->uid;
		process->uid[1] = cred->euid;
		process->uid[2] = cred->suid;
		process->uid[3] = cred->fsuid;
		process->gid[0] = cred->gid;
		process->gid[1] = cred->egid;
		process->gid[2] = cred->sgid;
		process->gid[3] = cred->fsgid;
	}
	if (mask & (KDBUS_ATTACH_AUXGROUPS | KDBUS_ATTACH_CAPS))
		process->cred = cred;
	if (mask & KDBUS_ATTACH_PIDS) {
		process->pid[0] = task_tgid(current);
		process->pid[1] = task_pid(current);
		/* the one that may go away meanwhile */
		rcu_read_lock();
		process->pid[2] = get_pid(task_tgid(rcu_dereference(current->real_parent)));
		rcu_read_unlock();
	}
	if (mask & KDBUS_ATTACH_TID_COMM)
		get_task_comm(process->tid_comm, current);
	if (mask & KDBUS_ATTACH_PID_COMM) {
		rcu_read_lock();
		get_task_comm(process->pid_comm, READ_ONCE(current->group_leader));
		rcu_read_unlock();
	}
	if (mask & KDBUS_META_COSTLY)
		kdbus_meta_process_texts(process);
}

/**
 * kdbus_meta_process_pin() - make a description outlive the system call
 * @process:	the description
 */
void kdbus_meta_process_pin(struct kdbus_meta_process *process)
{
	get_pid(process->pid[0]);
	get_pid(process->pid[1]);
	if (process->cred)
		get_cred(process->cred);
	process->pinned = true;
}

/**
 * kdbus_meta_process_release() - drop what a description refers to
 * @process:	the description
 */
void kdbus_meta_process_release(struct kdbus_meta_process *process)
{
	put_pid(process->pid[2]);
	if (process->exe)
		fput(process->exe);
	kfree(process->cmdline);
	kfree(process->cgroup);
	kfree(process->seclabel);
	if (!process->pinned)
		return;
	put_pid(process->pid[0]);
	put_pid(process->pid[1]);
	if (process->cred)
		put_cred(process->cred);
}

/* ---- writing ---- */

static void kdbus_meta_write_creds(const struct kdbus_meta_process *process,
				   struct user_namespace *ns, struct kdbus_buf *buf)
{
	unsigned int i;
	u64 *at;

	/* struct kdbus_creds: four user ids, then four group ids */
	BUILD_BUG_ON(sizeof(struct kdbus_creds) != 8 * sizeof(u64));
	at = kdbus_buf_item(buf, KDBUS_ITEM_CREDS, sizeof(struct kdbus_creds));
	if (!at)
		return;

	for (i = 0; i < 4; i++) {
		at[i] = uid_valid(process->uid[i]) ? from_kuid_munged(ns, process->uid[i]) :
						     KDBUS_META_ID_UNSET;
		at[4 + i] = gid_valid(process->gid[i]) ? from_kgid_munged(ns, process->gid[i]) :
							 KDBUS_META_ID_UNSET;
	}
}

static void kdbus_meta_write_pids(const struct kdbus_meta_process *process,
				  struct pid_namespace *ns, struct kdbus_buf *buf)
{
	unsigned int i;
	u64 *at;

	BUILD_BUG_ON(sizeof(struct kdbus_pids) != 3 * sizeof(u64));
	at = kdbus_buf_item(buf, KDBUS_ITEM_PIDS, sizeof(struct kdbus_pids));
	if (!at)
		return;

	for (i = 0; i < 3; i++)
		at[i] = pid_nr_ns(process->pid[i], ns);
}

static void kdbus_meta_write_auxgroups(const struct kdbus_meta_process *process,
				       struct user_namespace *ns, struct kdbus_buf *buf)
{
	const struct group_info *groups = process->cred->group_info;
	int i;
	u64 *at;

	at = kdbus_buf_item(buf, KDBUS_ITEM_AUXGROUPS, groups->ngroups * sizeof(u64));
	for (i = 0; at && i < groups->ngroups; i++)
		at[i] = from_kgid_munged(ns, groups->gid[i]);
}

static bool kdbus_meta_has_root(const struct path *root)
{
	struct path own;
	bool same;

	get_fs_root(current->fs, &own);
	same = path_equal(&own, root);
	path_put(&own);
	return same;
}

/*
 * The executable's path, if the running thread and the reader share the root,
 * and if it can be reached from there.
 */
static void kdbus_meta_write_exe(const struct kdbus_meta_process *process, const struct path *root,
				 struct kdbus_buf *buf)
{
	char *text, *path;

	if (!kdbus_meta_has_root(root) || !path_is_under(&process->exe->f_path, root))
		return;

	text = kmalloc(PATH_MAX, GFP_KERNEL);
	if (!text) {
		buf->failed = true;
		return;
	}
	path = d_path(&process->exe->f_path, text, PATH_MAX);
	/* threads that share it may have changed the root meanwhile */
	if (!IS_ERR(path) && kdbus_meta_has_root(root))
		kdbus_buf_item_str(buf, KDBUS_ITEM_EXE, path);
	kfree(text);
}

/*
 * How the capabilities of a sender look in a reader's user namespace: as they
 * are in its own and, by and large, in those below it; as none from outside.
 * Whoever owns a namespace has all capabilities in it.
 */
enum kdbus_meta_caps_view {
	KDBUS_META_CAPS_VERBATIM,
	KDBUS_META_CAPS_ALL,
	KDBUS_META_CAPS_NONE,
};

static enum kdbus_meta_caps_view kdbus_meta_view_caps(const struct cred *cred,
						      const struct user_namespace *ns)
{
	if (ns == cred->user_ns)
		return KDBUS_META_CAPS_VERBATIM;

	for (; ns->parent; ns = ns->parent) {
		if (ns->parent != cred->user_ns)
			continue;
		return uid_eq(ns->owner, cred->euid) ? KDBUS_META_CAPS_ALL :
						       KDBUS_META_CAPS_VERBATIM;
	}
	return KDBUS_META_CAPS_NONE;
}

static void kdbus_meta_write_caps(const struct kdbus_meta_process *process,
				  const struct user_namespace *ns, struct kdbus_buf *buf)
{
	const u64 known = GENMASK_ULL(CAP_LAST_CAP, 0);
	const struct cred *cred = process->cred;
	u64 sets[4] = {
		kdbus_compat_cap_bits(cred->cap_inheritable),
		kdbus_compat_cap_bits(cred->cap_permitted),
		kdbus_compat_cap_bits(cred->cap_effective),
		kdbus_compat_cap_bits(cred->cap_bset),
	};
	enum kdbus_meta_caps_view view = kdbus_meta_view_caps(cred, ns);
	unsigned int i;
	u32 *at;

	at = kdbus_buf_item(buf, KDBUS_ITEM_CAPS, sizeof(u32) + sizeof(sets));
	if (!at)
		return;

	*at++ = CAP_LAST_CAP;
	for (i = 0; i < ARRAY_SIZE(sets); i++) {
		if (view == KDBUS_META_CAPS_ALL)
			sets[i] = i == 0 ? 0 : known;
		else if (view == KDBUS_META_CAPS_NONE)
			sets[i] = 0;
		*at++ = lower_32_bits(sets[i] & known);
		*at++ = upper_32_bits(sets[i] & known);
	}
}

static void kdbus_meta_write_audit(const struct kdbus_meta_process *process,
				   struct user_namespace *ns, struct kdbus_buf *buf)
{
	struct kdbus_audit *at;

	at = kdbus_buf_item(buf, KDBUS_ITEM_AUDIT, sizeof(*at));
	if (at)
		*at = (struct kdbus_audit){
			.sessionid = process->sessionid,
			.loginuid = from_kuid(ns, process->loginuid),
		};
}

static void kdbus_meta_write_texts(const struct kdbus_meta_process *process, u64 mask,
				   const struct kdbus_meta_reader *reader, struct kdbus_buf *buf)
{
	if (mask & KDBUS_ATTACH_EXE)
		kdbus_meta_write_exe(process, reader->root, buf);
	if (mask & KDBUS_ATTACH_CMDLINE)
		kdbus_buf_item_str(buf, KDBUS_ITEM_CMDLINE, process->cmdline);
	if (mask & KDBUS_ATTACH_CGROUP)
		kdbus_buf_item_str(buf, KDBUS_ITEM_CGROUP, process->cgroup);
	if (mask & KDBUS_ATTACH_CAPS)
		kdbus_meta_write_caps(process, reader->user_ns, buf);
	if (mask & KDBUS_ATTACH_SECLABEL)
		kdbus_buf_item_str(buf, KDBUS_ITEM_SECLABEL, process->seclabel);
	if (mask & KDBUS_ATTACH_AUDIT)
		kdbus_meta_write_audit(process, reader->user_ns, buf);
}

/**
 * kdbus_meta_process_write() - write items that describe a thread
 * @process:	the thread
 * @mask:	what is wanted, KDBUS_ATTACH_*; only what is known is written
 * @reader:	in whose eyes
 * @buf:	where to
 */
void kdbus_meta_process_write(const struct kdbus_meta_process *process, u64 mask,
			      const struct kdbus_meta_reader *reader, struct kdbus_buf *buf)
{
	if (mask & process->failed)
		buf->failed = true;
	mask &= process->mask;

	if (mask & KDBUS_ATTACH_CREDS)
		kdbus_meta_write_creds(process, reader->user_ns, buf);
	if (mask & KDBUS_ATTACH_PIDS)
		kdbus_meta_write_pids(process, reader->pid_ns, buf);
	if (mask & KDBUS_ATTACH_AUXGROUPS)
		kdbus_meta_write_auxgroups(process, reader->user_ns, buf);
	if (mask & KDBUS_ATTACH_TID_COMM)
		kdbus_buf_item_str(buf, KDBUS_ITEM_TID_COMM, process->tid_comm);
	if (mask & KDBUS_ATTACH_PID_COMM)
		kdbus_buf_item_str(buf, KDBUS_ITEM_PID_COMM, process->pid_comm);
	if (mask & (KDBUS_META_COSTLY | KDBUS_ATTACH_CAPS))
		kdbus_meta_write_texts(process, mask, reader, buf);
}

/* ---- what HELLO remembers ---- */

static int kdbus_meta_fake_creds(struct kdbus_meta_process *process,
				 const struct kdbus_creds *creds)
{
	struct user_namespace *ns = current_user_ns();
	const u64 uid[4] = { creds->uid, creds->euid, creds->suid, creds->fsuid };
	const u64 gid[4] = { creds->gid, creds->egid, creds->sgid, creds->fsgid };
	unsigned int i;

	for (i = 0; i < 4; i++) {
		process->uid[i] = INVALID_UID;
		if (uid[i] != KDBUS_META_ID_UNSET) {
			if (uid[i] > KDBUS_META_ID_UNSET)
				return -EINVAL;
			process->uid[i] = make_kuid(ns, uid[i]);
			if (!uid_valid(process->uid[i]))
				return -EINVAL;
		}

		process->gid[i] = INVALID_GID;
		if (gid[i] != KDBUS_META_ID_UNSET) {
			if (gid[i] > KDBUS_META_ID_UNSET)
				return -EINVAL;
			process->gid[i] = make_kgid(ns, gid[i]);
			if (!gid_valid(process->gid[i]))
				return -EINVAL;
		}
	}

	process->mask |= KDBUS_ATTACH_CREDS;
	return 0;
}

static int kdbus_meta_fake_pids(struct kdbus_meta_process *process, const struct kdbus_pids *pids)
{
	const u64 nr[3] = { pids->pid, pids->tid, pids->ppid };
	unsigned int i;

	for (i = 0; i < 3; i++) {
		if (nr[i] == 0)
			continue;
		if (nr[i] > INT_MAX)
			return -EINVAL;
		process->pid[i] = find_get_pid(nr[i]);
		if (!process->pid[i])
			return -EINVAL;
	}

	process->mask |= KDBUS_ATTACH_PIDS;
	return 0;
}

/**
 * kdbus_meta_conn_init() - remember who says HELLO
 * @meta:	zeroed; to be released, on failure too
 * @creds:	KDBUS_ITEM_CREDS that was given, or NULL
 * @pids:	KDBUS_ITEM_PIDS that was given, or NULL
 * @seclabel:	KDBUS_ITEM_SECLABEL that was given, or NULL
 *
 * If anything is given, only that is remembered.
 *
 * Return: 0, -EINVAL for ids that do not exist, or -ENOMEM.
 */
int kdbus_meta_conn_init(struct kdbus_meta_conn *meta, const struct kdbus_item *creds,
			 const struct kdbus_item *pids, const struct kdbus_item *seclabel)
{
	int ret;

	/* pids that are given are looked up, and so pinned */
	meta->process.pinned = true;
	meta->pid_ns = get_pid_ns(task_active_pid_ns(current));
	get_fs_root(current->fs, &meta->root);
	meta->faked = creds || pids || seclabel;
	if (!meta->faked) {
		kdbus_meta_process_current(&meta->process, KDBUS_META_PROCESS);
		kdbus_meta_process_pin(&meta->process);
		return meta->process.failed ? -ENOMEM : 0;
	}

	if (creds) {
		ret = kdbus_meta_fake_creds(&meta->process, &creds->creds);
		if (ret < 0)
			return ret;
	}
	if (pids) {
		ret = kdbus_meta_fake_pids(&meta->process, &pids->pids);
		if (ret < 0)
			return ret;
	}
	if (seclabel) {
		meta->process.seclabel = kstrdup(seclabel->str, GFP_KERNEL_ACCOUNT);
		if (!meta->process.seclabel)
			return -ENOMEM;
		meta->process.mask |= KDBUS_ATTACH_SECLABEL;
	}
	return 0;
}

/**
 * kdbus_meta_conn_release() - forget who said HELLO
 * @meta:	what was remembered
 */
void kdbus_meta_conn_release(struct kdbus_meta_conn *meta)
{
	kdbus_meta_process_release(&meta->process);
	path_put(&meta->root);
	if (meta->pid_ns)
		put_pid_ns(meta->pid_ns);
}

/**
 * kdbus_meta_reader_of() - how a connection sees others
 * @conn:	the connection
 *
 * Return: namespaces that live as long as the connection.
 */
struct kdbus_meta_reader kdbus_meta_reader_of(const struct kdbus_conn *conn)
{
	return (struct kdbus_meta_reader){
		.user_ns = conn->cred->user_ns,
		.pid_ns = conn->meta.pid_ns,
		.root = &conn->meta.root,
	};
}

static size_t kdbus_meta_name_size(const struct kdbus_name_owner *owner)
{
	return ALIGN(offsetof(struct kdbus_item, data) + sizeof(struct kdbus_name) +
		     owner->name->len + 1, 8);
}

/* Write names while they fit. Return how many bytes all of them need. */
static size_t kdbus_meta_try_names(struct kdbus_conn *conn, struct kdbus_buf *buf, size_t room)
{
	struct kdbus_name_owner *owner;
	struct kdbus_name *at;
	size_t need = 0, len;
	u64 flags;

	rcu_read_lock();
	list_for_each_entry_rcu(owner, &conn->names, conn_entry) {
		flags = READ_ONCE(owner->flags);
		if (!(flags & KDBUS_NAME_PRIMARY))
			continue;

		need += kdbus_meta_name_size(owner);
		if (need > room)
			continue;

		len = owner->name->len + 1;
		at = kdbus_buf_item(buf, KDBUS_ITEM_OWNED_NAME, sizeof(*at) + len);
		at->flags = flags;
		memcpy(at->name, owner->name->name, len);
	}
	rcu_read_unlock();
	return need;
}

/**
 * kdbus_meta_conn_write_names() - write the names a connection owns
 * @conn:	the connection
 * @buf:	where to
 */
void kdbus_meta_conn_write_names(struct kdbus_conn *conn, struct kdbus_buf *buf)
{
	size_t end = buf->len, start, room, need = 0;

	if (list_empty(&conn->names))
		return;

	/* nothing can be allocated while names are looked at: measure, allocate, write */
	kdbus_buf_align(buf);
	start = buf->len;
	do {
		room = need;
		buf->len = start;
		if (!kdbus_buf_reserve(buf, room + 8))
			return;
		need = kdbus_meta_try_names(conn, buf, room);
	} while (need > room);

	/* it may only wait for names; then nothing follows the padding */
	if (need == 0)
		buf->len = end;
}

/**
 * kdbus_meta_conn_write() - write what CONN_INFO tells of a connection
 * @conn:	the connection
 * @mask:	what is wanted, KDBUS_ATTACH_*
 * @reader:	in whose eyes
 * @buf:	where to
 */
void kdbus_meta_conn_write(struct kdbus_conn *conn, u64 mask,
			   const struct kdbus_meta_reader *reader, struct kdbus_buf *buf)
{
	kdbus_meta_process_write(&conn->meta.process, mask, reader, buf);
	if (mask & KDBUS_ATTACH_NAMES)
		kdbus_meta_conn_write_names(conn, buf);
	if (mask & KDBUS_ATTACH_CONN_DESCRIPTION && conn->description)
		kdbus_buf_item_str(buf, KDBUS_ITEM_CONN_DESCRIPTION, conn->description);
}

/**
 * kdbus_meta_write_timestamp() - write when and in which order
 * @seqnum:		the message's number
 * @monotonic_ns:	CLOCK_MONOTONIC
 * @realtime_ns:	CLOCK_REALTIME
 * @buf:		where to
 */
void kdbus_meta_write_timestamp(u64 seqnum, u64 monotonic_ns, u64 realtime_ns,
				struct kdbus_buf *buf)
{
	struct kdbus_timestamp *at;

	at = kdbus_buf_item(buf, KDBUS_ITEM_TIMESTAMP, sizeof(*at));
	if (at)
		*at = (struct kdbus_timestamp){
			.seqnum = seqnum,
			.monotonic_ns = monotonic_ns,
			.realtime_ns = realtime_ns,
		};
}
