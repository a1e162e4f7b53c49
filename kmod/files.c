// SPDX-License-Identifier: GPL-2.0-only
#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/magic.h>
#include <linux/net.h>
#include <linux/overflow.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/sock.h>

#include "command.h"
#include "domain.h"
#include "files.h"
#include "pool.h"

#define KDBUS_FILES_SEALS	(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* How files of kdbus and of shmem are recognised. */
static const struct file_operations *kdbus_files_own_fops;
static const struct file_operations *kdbus_files_shmem_fops;

/**
 * kdbus_files_new() - make an empty set
 * @n:		most files there will be
 * @payer:	who AF_UNIX sockets are charged to; NULL refuses them
 *
 * Return: the set, or NULL.
 */
struct kdbus_files *kdbus_files_new(unsigned int n, struct kdbus_user *payer)
{
	struct kdbus_files *files;

	files = kzalloc(struct_size(files, entries, n), GFP_KERNEL_ACCOUNT);
	if (!files)
		return NULL;

	refcount_set(&files->refs, 1);
	files->cap = n;
	files->payer = payer ? kdbus_user_get(payer) : NULL;
	kdbus_object_inc(KDBUS_OBJECT_FILES);
	return files;
}

struct kdbus_files *kdbus_files_get(struct kdbus_files *files)
{
	if (files)
		refcount_inc(&files->refs);
	return files;
}

/**
 * kdbus_files_put() - drop a reference to a set
 * @files:	the set, or NULL
 */
void kdbus_files_put(struct kdbus_files *files)
{
	unsigned int i;

	if (!files || !refcount_dec_and_test(&files->refs))
		return;

	for (i = 0; i < files->n_fds + files->n_memfds; i++)
		fput(files->entries[i].file);
	if (files->n_sockets > 0)
		atomic_sub(files->n_sockets, &files->payer->sockets);
	kdbus_user_put(files->payer);
	kfree(files);
	kdbus_object_dec(KDBUS_OBJECT_FILES);
}

static void kdbus_files_insert(struct kdbus_files *files, unsigned int at, struct file *file,
			       size_t offset)
{
	unsigned int n = files->n_fds + files->n_memfds;

	if (WARN_ON_ONCE(n >= files->cap)) {
		fput(file);
		return;
	}
	memmove(&files->entries[at + 1], &files->entries[at],
		(n - at) * sizeof(files->entries[0]));
	files->entries[at].file = file;
	files->entries[at].offset = offset;
}

static bool kdbus_files_is_uring(struct file *file)
{
	return file_inode(file)->i_sb->s_magic == ANON_INODE_FS_MAGIC &&
	       !strcmp(file->f_path.dentry->d_name.name, "[io_uring]");
}

static bool kdbus_files_is_unix(struct file *file)
{
	struct socket *sock = sock_from_file(file);

	return sock && sock->sk && sock->sk->sk_family == AF_UNIX;
}

static int kdbus_files_check_fd(struct kdbus_files *files, struct file *file)
{
	int ret;

	/* it leads to no open file, whatever it names */
	if (file->f_mode & FMODE_PATH)
		return 0;
	if (file->f_op == kdbus_files_own_fops || kdbus_files_is_uring(file))
		return -EOPNOTSUPP;
	if (!kdbus_files_is_unix(file))
		return 0;
	if (!files->payer)
		return -EOPNOTSUPP;

	ret = kdbus_user_charge(&files->payer->sockets, KDBUS_FILES_MAX_SOCKETS);
	if (ret == 0)
		files->n_sockets++;
	return ret;
}

/**
 * kdbus_files_add_fds() - add attached descriptors
 * @files:	the set
 * @item:	KDBUS_ITEM_FDS
 * @offset:	where in the message the item is
 *
 * Return: 0, -EBADF, -EOPNOTSUPP for what may not be passed, or -EMFILE for too
 * many AF_UNIX sockets in flight.
 */
int kdbus_files_add_fds(struct kdbus_files *files, const struct kdbus_item *item, size_t offset)
{
	size_t i, n = kdbus_item_payload(item) / sizeof(int);
	struct file *file;
	int ret;

	offset += offsetof(struct kdbus_item, fds);
	for (i = 0; i < n; i++, offset += sizeof(int)) {
		file = item->fds[i] < 0 ? NULL : fget_raw(item->fds[i]);
		if (!file)
			return -EBADF;
		ret = kdbus_files_check_fd(files, file);
		if (ret < 0) {
			fput(file);
			return ret;
		}
		kdbus_files_insert(files, files->n_fds, file, offset);
		files->n_fds++;
	}
	return 0;
}

/* A memfd's seals, as F_GET_SEALS reports them; negative if it has none. */
static int kdbus_files_seals(struct file *file)
{
	if (file->f_op == kdbus_files_shmem_fops)
		/* seals may be added meanwhile, but never removed */
		return data_race(READ_ONCE(SHMEM_I(file_inode(file))->seals));
#ifdef CONFIG_HUGETLBFS
	if (file_inode(file)->i_sb->s_magic == HUGETLBFS_MAGIC)
		/* likewise */
		return data_race(READ_ONCE(HUGETLBFS_I(file_inode(file))->seals));
#endif
	return -EMEDIUMTYPE;
}

static int kdbus_files_check_memfd(struct file *file, const struct kdbus_memfd *memfd)
{
	int seals = kdbus_files_seals(file);
	u64 end;

	if (seals < 0)
		return seals;
	if ((seals & KDBUS_FILES_SEALS) != KDBUS_FILES_SEALS)
		return -ETXTBSY;
	if (check_add_overflow(memfd->start, memfd->size, &end) ||
	    end > i_size_read(file_inode(file)))
		return -EFAULT;
	return 0;
}

/**
 * kdbus_files_add_memfd() - add payload
 * @files:	the set
 * @item:	KDBUS_ITEM_PAYLOAD_MEMFD
 * @offset:	where in the message the item is
 *
 * Return: 0, -EBADF, -EMEDIUMTYPE for what is no memfd, -ETXTBSY for one that
 * is not sealed, or -EFAULT for one that is too small.
 */
int kdbus_files_add_memfd(struct kdbus_files *files, const struct kdbus_item *item, size_t offset)
{
	struct file *file;
	int ret;

	file = fget(item->memfd.fd);
	if (!file)
		return -EBADF;
	ret = kdbus_files_check_memfd(file, &item->memfd);
	if (ret < 0) {
		fput(file);
		return ret;
	}

	kdbus_files_insert(files, files->n_fds + files->n_memfds, file,
			   offset + offsetof(struct kdbus_item, memfd.fd));
	files->n_memfds++;
	return 0;
}

/**
 * kdbus_files_install() - give a message's files to the running process
 * @files:	the files
 * @slice:	the message; its descriptor numbers are filled in
 * @all:	attached descriptors, too; else they remain -1
 *
 * Attached descriptors come first, then memfds; each gets the lowest free
 * number. Where one cannot be installed, the number is -1.
 *
 * Return: whether all that were asked for were installed.
 */
bool kdbus_files_install(const struct kdbus_files *files, struct kdbus_slice *slice, bool all)
{
	bool complete = true;
	unsigned int i;
	int fd;

	for (i = all ? 0 : files->n_fds; i < files->n_fds + files->n_memfds; i++) {
		fd = kdbus_compat_receive_fd(files->entries[i].file, O_CLOEXEC);
		if (fd < 0) {
			fd = -1;
			complete = false;
		}
		/* cannot fail: the message was written there before */
		kdbus_slice_write(slice, files->entries[i].offset, &fd, sizeof(fd));
	}
	return complete;
}

/**
 * kdbus_files_init() - learn to tell files apart
 * @fops:	how kdbus's own files are recognised
 *
 * Return: 0, or why no shmem file could be made.
 */
int kdbus_files_init(const struct file_operations *fops)
{
	struct file *file;

	file = kdbus_compat_shmem_file("kdbus", 0);
	if (IS_ERR(file))
		return PTR_ERR(file);

	kdbus_files_own_fops = fops;
	kdbus_files_shmem_fops = file->f_op;
	fput(file);
	return 0;
}
