/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Kernel versions
 *
 * Every difference between the kernels the module supports stands here, and
 * nowhere else. Kbuild looks into the target's headers and defines KDBUS_...
 * for what it finds; the wrappers below give each thing one name of our own,
 * so that a name a later kernel introduces can never clash. Newest form first.
 *
 * Kbuild includes this file in front of every source file.
 */
#ifndef KDBUS_COMPAT_H
#define KDBUS_COMPAT_H

#include <linux/capability.h>
#include <linux/device.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/security.h>
#include <linux/shmem_fs.h>
#include <linux/shrinker.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "kdbus needs Linux 6.1 or newer."
#endif
#ifndef CONFIG_DEVTMPFS
#error "kdbus needs a kernel with CONFIG_DEVTMPFS: its nodes live there."
#endif
#ifndef CONFIG_SHMEM
#error "kdbus needs a kernel with CONFIG_SHMEM: payload travels in memfds."
#endif

/* 6.4 dropped the owner. */
static inline struct class *kdbus_compat_class_create(const char *name)
{
#ifdef KDBUS_CLASS_CREATE_NAME
	return class_create(name);
#else
	return class_create(THIS_MODULE, name);
#endif
}

/* 6.2 made the device that device_type.devnode looks at const. */
#ifdef KDBUS_DEVNODE_CONST
#define KDBUS_COMPAT_DEVNODE_CONST const
#else
#define KDBUS_COMPAT_DEVNODE_CONST
#endif

/* 6.3 made vm_flags read-only outside of accessors. */
static inline void kdbus_compat_vm_flags_clear(struct vm_area_struct *vma, unsigned long flags)
{
#ifdef KDBUS_VM_FLAGS_CLEAR
	vm_flags_clear(vma, flags);
#else
	vma->vm_flags &= ~flags;
#endif
}

static inline void kdbus_compat_vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
#ifdef KDBUS_VM_FLAGS_CLEAR
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

/* 6.8 added an argument that only the kernel's own callers use. */
static inline int kdbus_compat_receive_fd(struct file *file, unsigned int flags)
{
#ifdef KDBUS_RECEIVE_FD_UFD
	return receive_fd(file, NULL, flags);
#else
	return receive_fd(file, flags);
#endif
}

/* 7.x gave the flags a type of their own. Commits the memory it may use. */
static inline struct file *kdbus_compat_shmem_file(const char *name, loff_t size)
{
#ifdef KDBUS_SHMEM_VMA_FLAGS
	return shmem_file_setup(name, size, EMPTY_VMA_FLAGS);
#else
	return shmem_file_setup(name, size, 0);
#endif
}

/* 6.7 looks the pointer up anew itself when the file is being replaced. To be released. */
static inline struct file *kdbus_compat_mm_exe_file(struct mm_struct *mm)
{
	struct file *file;

	rcu_read_lock();
#ifdef KDBUS_GET_FILE_RCU_POINTER
	file = get_file_rcu(&mm->exe_file);
#else
	do {
		file = rcu_dereference(mm->exe_file);
	} while (file && !get_file_rcu(file));
#endif
	rcu_read_unlock();
	return file;
}

/* 6.3 made a set of capabilities one word. */
static inline u64 kdbus_compat_cap_bits(kernel_cap_t caps)
{
#ifdef KDBUS_CAP_WORD
	return caps.val;
#else
	return (u64)caps.cap[1] << 32 | caps.cap[0];
#endif
}

/*
 * 6.13 names security labels by a structure instead of a number, 6.14 gives
 * their text in one, 6.17 wants to know of which module.
 */
struct kdbus_compat_seclabel {
	const char *text;
	u32 len;
#ifdef KDBUS_LSM_CONTEXT
	struct lsm_context context;
#endif
};

static inline bool kdbus_compat_seclabel_current(struct kdbus_compat_seclabel *label)
{
#ifdef KDBUS_LSM_CONTEXT
	struct lsm_prop prop;

	security_current_getlsmprop_subj(&prop);
#ifdef KDBUS_LSM_ID
	if (security_lsmprop_to_secctx(&prop, &label->context, LSM_ID_UNDEF) < 0)
		return false;
#else
	if (security_lsmprop_to_secctx(&prop, &label->context) < 0)
		return false;
#endif
	label->text = label->context.context;
	label->len = label->context.len;
#else
	char *text;
#ifdef KDBUS_LSM_PROP
	struct lsm_prop prop;

	security_current_getlsmprop_subj(&prop);
	if (security_lsmprop_to_secctx(&prop, &text, &label->len) < 0)
		return false;
#else
	u32 id;

	security_current_getsecid_subj(&id);
	if (security_secid_to_secctx(id, &text, &label->len) < 0)
		return false;
#endif
	label->text = text;
#endif
	return true;
}

static inline void kdbus_compat_seclabel_release(struct kdbus_compat_seclabel *label)
{
#ifdef KDBUS_LSM_CONTEXT
	security_release_secctx(&label->context);
#else
	security_release_secctx((char *)label->text, label->len);
#endif
}

/* 6.7 allocates shrinkers instead of embedding them. */
typedef unsigned long (*kdbus_compat_shrink_fn)(struct shrinker *, struct shrink_control *);

#ifdef KDBUS_SHRINKER_ALLOC
static inline struct shrinker *kdbus_compat_shrinker_new(const char *name,
							 kdbus_compat_shrink_fn count,
							 kdbus_compat_shrink_fn scan)
{
	struct shrinker *shrinker;

	shrinker = shrinker_alloc(0, "%s", name);
	if (!shrinker)
		return ERR_PTR(-ENOMEM);

	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
	shrinker_register(shrinker);
	return shrinker;
}

static inline void kdbus_compat_shrinker_free(struct shrinker *shrinker)
{
	shrinker_free(shrinker);
}
#else
static inline struct shrinker *kdbus_compat_shrinker_new(const char *name,
							 kdbus_compat_shrink_fn count,
							 kdbus_compat_shrink_fn scan)
{
	struct shrinker *shrinker;
	int ret;

	shrinker = kzalloc(sizeof(*shrinker), GFP_KERNEL);
	if (!shrinker)
		return ERR_PTR(-ENOMEM);

	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
	shrinker->seeks = DEFAULT_SEEKS;
	ret = register_shrinker(shrinker, "%s", name);
	if (ret < 0) {
		kfree(shrinker);
		return ERR_PTR(ret);
	}
	return shrinker;
}

static inline void kdbus_compat_shrinker_free(struct shrinker *shrinker)
{
	unregister_shrinker(shrinker);
	kfree(shrinker);
}
#endif

#endif /* KDBUS_COMPAT_H */
