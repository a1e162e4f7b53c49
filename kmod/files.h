/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Files
 *
 * The open files a message carries: descriptors its sender attached, and
 * sealed memfds that hold payload. They are referenced while the message is
 * queued and become descriptors of the process that receives it. One set
 * serves all receivers of a broadcast.
 *
 * A file that could keep a queue alive which keeps the file alive would never
 * be freed. So files of kdbus itself and io_uring instances, which can hold
 * other files, are refused; and so are AF_UNIX sockets, whose queues can, unless
 * the bus was made to let them pass. Such a cycle lasts until its bus ends; what
 * all of them can hold is bounded, as no user may have more than a few sockets
 * in flight in the whole domain.
 */
#ifndef KDBUS_FILES_H
#define KDBUS_FILES_H

#include <linux/fs.h>
#include <linux/refcount.h>
#include <linux/types.h>

#include <linux/kdbus.h>

struct kdbus_slice;
struct kdbus_user;

/* AF_UNIX sockets that a user may have in flight. */
#define KDBUS_FILES_MAX_SOCKETS	64

/**
 * struct kdbus_files - files of a message
 * @refs:	reference count
 * @n_fds:	attached descriptors, first in @entries
 * @n_memfds:	memfds, behind them
 * @cap:	room in @entries
 * @n_sockets:	AF_UNIX sockets among them
 * @payer:	who these are charged to, referenced; NULL if there may be none
 * @entries:	each file, and where in the message its number goes
 */
struct kdbus_files {
	refcount_t refs;
	unsigned int n_fds;
	unsigned int n_memfds;
	unsigned int cap;
	unsigned int n_sockets;
	struct kdbus_user *payer;
	struct kdbus_files_entry {
		struct file *file;
		size_t offset;
	} entries[];
};

struct kdbus_files *kdbus_files_new(unsigned int n, struct kdbus_user *payer);
struct kdbus_files *kdbus_files_get(struct kdbus_files *files);
void kdbus_files_put(struct kdbus_files *files);
int kdbus_files_add_fds(struct kdbus_files *files, const struct kdbus_item *item, size_t offset);
int kdbus_files_add_memfd(struct kdbus_files *files, const struct kdbus_item *item, size_t offset);
bool kdbus_files_install(const struct kdbus_files *files, struct kdbus_slice *slice, bool all);

int kdbus_files_init(const struct file_operations *fops);

#endif /* KDBUS_FILES_H */
