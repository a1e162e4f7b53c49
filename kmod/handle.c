// SPDX-License-Identifier: GPL-2.0-only
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <linux/kdbus.h>

#include "bus.h"
#include "connection.h"
#include "domain.h"
#include "endpoint.h"
#include "handle.h"
#include "match.h"
#include "message.h"
#include "name.h"
#include "node.h"
#include "pool.h"
#include "queue.h"
#include "waiters.h"

/**
 * struct kdbus_handle - an open file
 * @setup:	serialises setup commands; held while they run
 * @ep:		the endpoint it was opened through, referenced; NULL for the
 *		control node
 * @bus:	the bus it owns, or NULL; @setup
 * @made:	the custom endpoint it owns, or NULL; set once, read anywhere
 * @conn:	the connection it is, or NULL; set once, read anywhere
 * @waiters:	who polls it, referenced
 */
struct kdbus_handle {
	struct mutex setup; /* see above */
	struct kdbus_ep *ep;
	struct kdbus_bus *bus;
	struct kdbus_ep *made;
	struct kdbus_conn *conn;
	struct kdbus_waiters *waiters;
};

/* Commands of a connection. All are for ordinary ones, some for special ones. */
static const struct kdbus_handle_command {
	unsigned int cmd;
	u64 special;
	int (*run)(struct kdbus_conn *conn, struct file *file, void __user *argp);
} kdbus_handle_commands[] = {
	{ KDBUS_CMD_SEND, 0, kdbus_cmd_send },
	{ KDBUS_CMD_RECV, KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_MONITOR, kdbus_cmd_recv },
	{ KDBUS_CMD_FREE, KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_MONITOR, kdbus_cmd_free },
	{ KDBUS_CMD_UPDATE, KDBUS_HELLO_SPECIAL, kdbus_cmd_update },
	{ KDBUS_CMD_BYEBYE, 0, kdbus_cmd_byebye },
	{ KDBUS_CMD_CONN_INFO, KDBUS_HELLO_SPECIAL, kdbus_cmd_conn_info },
	{ KDBUS_CMD_BUS_CREATOR_INFO, KDBUS_HELLO_SPECIAL, kdbus_cmd_bus_creator_info },
	{ KDBUS_CMD_LIST, KDBUS_HELLO_SPECIAL, kdbus_cmd_list },
	{ KDBUS_CMD_NAME_ACQUIRE, 0, kdbus_cmd_name_acquire },
	{ KDBUS_CMD_NAME_RELEASE, 0, kdbus_cmd_name_release },
	{ KDBUS_CMD_MATCH_ADD, 0, kdbus_cmd_match_add },
	{ KDBUS_CMD_MATCH_REMOVE, 0, kdbus_cmd_match_remove },
};

static struct kdbus_ep *kdbus_handle_made(struct kdbus_handle *handle)
{
	/* pairs with the store in kdbus_handle_ep_make() */
	return smp_load_acquire(&handle->made);
}

static struct kdbus_conn *kdbus_handle_conn(struct kdbus_handle *handle)
{
	/* pairs with the store in kdbus_handle_hello() */
	return smp_load_acquire(&handle->conn);
}

static int kdbus_handle_open(struct inode *inode, struct file *file)
{
	struct kdbus_handle *handle;
	struct kdbus_ep *ep;
	int ret;

	ret = kdbus_node_resolve(inode, &ep);
	if (ret < 0)
		return ret;

	handle = kzalloc(sizeof(*handle), GFP_KERNEL_ACCOUNT);
	if (!handle)
		goto err_ep;
	handle->waiters = kdbus_waiters_new();
	if (!handle->waiters)
		goto err_handle;

	mutex_init(&handle->setup);
	handle->ep = ep;
	file->private_data = handle;
	kdbus_object_inc(KDBUS_OBJECT_HANDLE);
	return 0;

err_handle:
	kfree(handle);
err_ep:
	kdbus_ep_put(ep);
	return -ENOMEM;
}

static int kdbus_handle_release(struct inode *inode, struct file *file)
{
	struct kdbus_handle *handle = file->private_data;

	if (handle->conn)
		kdbus_conn_close(handle->conn);
	if (handle->made)
		kdbus_ep_shutdown(handle->made);
	if (handle->bus)
		kdbus_bus_shutdown(handle->bus);
	kdbus_ep_put(handle->ep);
	kdbus_waiters_put(handle->waiters);
	mutex_destroy(&handle->setup);
	kfree(handle);
	kdbus_object_dec(KDBUS_OBJECT_HANDLE);
	return 0;
}

/* Which error a setup command gets on a handle it is not for. */
static int kdbus_handle_setup_error(const struct kdbus_handle *handle)
{
	bool fresh = !handle->bus && !handle->made && !handle->conn;

	return fresh && handle->ep && kdbus_ep_is_dead(handle->ep) ? -ESHUTDOWN : -EBADFD;
}

static int kdbus_handle_bus_make(struct kdbus_handle *handle, void __user *argp)
{
	int ret;

	if (mutex_lock_interruptible(&handle->setup))
		return -ERESTARTSYS;
	if (!handle->ep && !handle->bus)
		handle->bus = kdbus_cmd_bus_make(argp, &ret);
	else
		ret = kdbus_handle_setup_error(handle);
	mutex_unlock(&handle->setup);
	return ret;
}

/* May a setup command make something of the endpoint a handle was opened through? */
static int kdbus_handle_check_fresh(const struct kdbus_handle *handle)
{
	if (!handle->ep || handle->made || handle->conn || kdbus_ep_is_dead(handle->ep))
		return kdbus_handle_setup_error(handle);
	return 0;
}

static int kdbus_handle_ep_make(struct kdbus_handle *handle, struct file *file, void __user *argp)
{
	struct kdbus_ep *made;
	int ret;

	if (mutex_lock_interruptible(&handle->setup))
		return -ERESTARTSYS;
	ret = kdbus_handle_check_fresh(handle);
	if (ret == 0 && !kdbus_ep_is_owner(handle->ep, file))
		ret = -EPERM;
	if (ret == 0) {
		made = kdbus_cmd_ep_make(handle->ep, argp, &ret);
		if (made)
			/* pairs with the load in kdbus_handle_made() */
			smp_store_release(&handle->made, made);
	}
	mutex_unlock(&handle->setup);
	return ret;
}

static int kdbus_handle_hello(struct kdbus_handle *handle, struct file *file, void __user *argp)
{
	struct kdbus_conn *conn;
	int ret;

	if (mutex_lock_interruptible(&handle->setup))
		return -ERESTARTSYS;
	ret = kdbus_handle_check_fresh(handle);
	if (ret == 0) {
		conn = kdbus_cmd_hello(handle->ep, file, handle->waiters, argp, &ret);
		if (conn) {
			/* pairs with the load in kdbus_handle_conn() */
			smp_store_release(&handle->conn, conn);
			/* what epoll was told before holds no more; messages may be there */
			wake_up_interruptible(&handle->waiters->queue);
		}
	}
	mutex_unlock(&handle->setup);
	return ret;
}

/* Which error a command gets on a handle that is no connection. */
static int kdbus_handle_no_conn_error(struct kdbus_handle *handle)
{
	struct kdbus_ep *made = kdbus_handle_made(handle);

	return made && kdbus_ep_is_dead(made) ? -ESHUTDOWN : -EBADFD;
}

static int kdbus_handle_ep_update(struct kdbus_handle *handle, void __user *argp)
{
	struct kdbus_conn *conn = kdbus_handle_conn(handle);
	struct kdbus_ep *made = kdbus_handle_made(handle);

	if (conn)
		return kdbus_conn_is_dead(conn) ? -ECONNRESET : -EBADFD;
	if (!made || kdbus_ep_is_dead(made))
		return kdbus_handle_no_conn_error(handle);
	return kdbus_cmd_ep_update(made, argp);
}

static int kdbus_handle_conn_command(struct kdbus_handle *handle, struct file *file,
				     const struct kdbus_handle_command *command,
				     void __user *argp)
{
	struct kdbus_conn *conn = kdbus_handle_conn(handle);

	if (!conn)
		return kdbus_handle_no_conn_error(handle);
	if (kdbus_conn_is_dead(conn))
		return -ECONNRESET;
	if (conn->flags & KDBUS_HELLO_SPECIAL & ~command->special)
		return -EOPNOTSUPP;
	return command->run(conn, file, argp);
}

static long kdbus_handle_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct kdbus_handle *handle = file->private_data;
	void __user *argp = (void __user *)arg;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kdbus_handle_commands); i++)
		if (kdbus_handle_commands[i].cmd == cmd)
			return kdbus_handle_conn_command(handle, file, &kdbus_handle_commands[i],
							 argp);

	switch (cmd) {
	case KDBUS_CMD_BUS_MAKE:
		return kdbus_handle_bus_make(handle, argp);
	case KDBUS_CMD_ENDPOINT_MAKE:
		return kdbus_handle_ep_make(handle, file, argp);
	case KDBUS_CMD_ENDPOINT_UPDATE:
		return kdbus_handle_ep_update(handle, argp);
	case KDBUS_CMD_HELLO:
		return kdbus_handle_hello(handle, file, argp);
	default:
		return -ENOTTY;
	}
}

static __poll_t kdbus_handle_poll(struct file *file, struct poll_table_struct *wait)
{
	struct kdbus_handle *handle = file->private_data;
	__poll_t mask = EPOLLOUT | EPOLLWRNORM;
	struct kdbus_conn *conn;

	poll_wait(file, &handle->waiters->queue, wait);
	/* pairs with wq_has_sleeper() in kdbus_conn_wake() */
	smp_mb();

	conn = kdbus_handle_conn(handle);
	if (!conn || kdbus_conn_is_dead(conn))
		return EPOLLERR | EPOLLHUP;
	if (READ_ONCE(conn->queue.count) > 0 || READ_ONCE(conn->queue.dropped) > 0)
		mask |= EPOLLIN | EPOLLRDNORM;
	return mask;
}

static int kdbus_handle_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct kdbus_conn *conn = kdbus_handle_conn(file->private_data);

	return conn ? kdbus_pool_mmap(conn->pool, vma) : -EBADFD;
}

const struct file_operations kdbus_handle_fops = {
	.owner		= THIS_MODULE,
	.open		= kdbus_handle_open,
	.release	= kdbus_handle_release,
	.poll		= kdbus_handle_poll,
	.unlocked_ioctl	= kdbus_handle_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.mmap		= kdbus_handle_mmap,
	.llseek		= noop_llseek,
};
