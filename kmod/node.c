// SPDX-License-Identifier: GPL-2.0-only
#include <linux/atomic.h>
#include <linux/cdev.h>
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "domain.h"
#include "endpoint.h"
#include "node.h"

#define KDBUS_NODE_MINORS	(MINORMASK + 1)
#define KDBUS_NODE_CONTROL	0

static dev_t kdbus_node_devt;
static struct cdev kdbus_node_cdev;
static struct class *kdbus_node_class;
static struct kdbus_node *kdbus_node_control;

/*
 * Minor to endpoint. Minors are handed out cyclically, so that a path looked
 * up before a node went away does not lead to the node that came next.
 */
static DEFINE_XARRAY_ALLOC1(kdbus_node_minors);
static u32 kdbus_node_next;

/*
 * Devices whose release is still to come; it may be long after removal. The
 * module is one more, until it goes.
 */
static atomic_t kdbus_node_devices = ATOMIC_INIT(1);
static DECLARE_COMPLETION(kdbus_node_released);

static char *kdbus_node_devnode(KDBUS_COMPAT_DEVNODE_CONST struct device *dev, umode_t *mode,
				kuid_t *uid, kgid_t *gid)
{
	KDBUS_COMPAT_DEVNODE_CONST struct kdbus_node *node =
		container_of(dev, KDBUS_COMPAT_DEVNODE_CONST struct kdbus_node, dev);

	if (mode)
		*mode = node->mode;
	if (uid)
		*uid = node->uid;
	if (gid)
		*gid = node->gid;
	return NULL;
}

static void kdbus_node_drop(void)
{
	if (atomic_dec_and_test(&kdbus_node_devices))
		complete(&kdbus_node_released);
}

static void kdbus_node_wait(void)
{
	kdbus_node_drop();
	wait_for_completion(&kdbus_node_released);
}

static void kdbus_node_release(struct device *dev)
{
	if (MINOR(dev->devt) != KDBUS_NODE_CONTROL)
		kdbus_object_dec(KDBUS_OBJECT_NODE);
	kfree(container_of(dev, struct kdbus_node, dev));
	kdbus_node_drop();
}

static const struct device_type kdbus_node_type = {
	.name		= "kdbus",
	.release	= kdbus_node_release,
	.devnode	= kdbus_node_devnode,
};

static struct kdbus_node *kdbus_node_new(u32 minor, umode_t mode, kuid_t uid, kgid_t gid)
{
	struct kdbus_node *node;

	node = kzalloc(sizeof(*node), GFP_KERNEL_ACCOUNT);
	if (!node)
		return NULL;

	atomic_inc(&kdbus_node_devices);
	/* the control node comes and goes with the module, and does not count */
	if (minor != KDBUS_NODE_CONTROL)
		kdbus_object_inc(KDBUS_OBJECT_NODE);
	device_initialize(&node->dev);
	node->dev.class = kdbus_node_class;
	node->dev.type = &kdbus_node_type;
	node->dev.devt = MKDEV(MAJOR(kdbus_node_devt), minor);
	node->mode = mode;
	node->uid = uid;
	node->gid = gid;
	return node;
}

/**
 * kdbus_node_add() - create the node of an endpoint
 * @bus:	name of the bus, a directory below /dev/kdbus
 * @ep:		name of the endpoint
 * @mode:	permissions
 * @uid:	owner
 * @gid:	group
 * @object:	the endpoint; must stay until the node is removed, and be freed
 *		through RCU
 *
 * The caller makes sure that the name is not in use.
 *
 * Return: the node, or an error pointer.
 */
struct kdbus_node *kdbus_node_add(const char *bus, const char *ep, umode_t mode,
				  kuid_t uid, kgid_t gid, struct kdbus_ep *object)
{
	struct kdbus_node *node;
	u32 minor;
	int ret;

	ret = xa_alloc_cyclic(&kdbus_node_minors, &minor, object,
			      XA_LIMIT(KDBUS_NODE_CONTROL + 1, KDBUS_NODE_MINORS - 1),
			      &kdbus_node_next, GFP_KERNEL);
	if (ret < 0)
		return ERR_PTR(ret == -EBUSY ? -ENOMEM : ret);

	node = kdbus_node_new(minor, mode, uid, gid);
	if (!node) {
		ret = -ENOMEM;
		goto err_minor;
	}

	/* devtmpfs makes "/" of "!" */
	ret = dev_set_name(&node->dev, "kdbus!%s!%s", bus, ep);
	if (ret < 0)
		goto err_node;

	ret = device_add(&node->dev);
	if (ret < 0)
		goto err_node;

	return node;

err_node:
	put_device(&node->dev);
err_minor:
	xa_erase(&kdbus_node_minors, minor);
	return ERR_PTR(ret);
}

/**
 * kdbus_node_remove() - remove a node
 * @node:	the node
 *
 * Afterwards nobody finds the endpoint by this node any more; handles that
 * are open stay open.
 */
void kdbus_node_remove(struct kdbus_node *node)
{
	u32 minor = MINOR(node->dev.devt);

	device_del(&node->dev);
	xa_erase(&kdbus_node_minors, minor);
	put_device(&node->dev);
}

/**
 * kdbus_node_resolve() - what does an inode stand for?
 * @inode:	inode of a node
 * @ep:		where to store the endpoint, referenced; NULL for the control node
 *
 * Return: 0, or -ESHUTDOWN if the endpoint is gone or going.
 */
int kdbus_node_resolve(struct inode *inode, struct kdbus_ep **ep)
{
	struct kdbus_ep *found;
	int ret = 0;

	if (iminor(inode) == KDBUS_NODE_CONTROL) {
		*ep = NULL;
		return 0;
	}

	rcu_read_lock();
	found = xa_load(&kdbus_node_minors, iminor(inode));
	if (!found || !kref_get_unless_zero(&found->kref))
		ret = -ESHUTDOWN;
	rcu_read_unlock();
	if (ret < 0)
		return ret;

	if (kdbus_ep_is_dead(found)) {
		kdbus_ep_put(found);
		return -ESHUTDOWN;
	}

	*ep = found;
	return 0;
}

int kdbus_node_init(const struct file_operations *fops)
{
	int ret;

	ret = alloc_chrdev_region(&kdbus_node_devt, 0, KDBUS_NODE_MINORS, "kdbus");
	if (ret < 0)
		return ret;

	kdbus_node_class = kdbus_compat_class_create("kdbus");
	if (IS_ERR(kdbus_node_class)) {
		ret = PTR_ERR(kdbus_node_class);
		goto err_region;
	}

	cdev_init(&kdbus_node_cdev, fops);
	kdbus_node_cdev.owner = THIS_MODULE;
	ret = cdev_add(&kdbus_node_cdev, kdbus_node_devt, KDBUS_NODE_MINORS);
	if (ret < 0)
		goto err_class;

	kdbus_node_control = kdbus_node_new(KDBUS_NODE_CONTROL, 0666, GLOBAL_ROOT_UID,
					    GLOBAL_ROOT_GID);
	if (!kdbus_node_control) {
		ret = -ENOMEM;
		goto err_cdev;
	}

	ret = dev_set_name(&kdbus_node_control->dev, "kdbus!control");
	if (ret == 0)
		ret = device_add(&kdbus_node_control->dev);
	if (ret < 0)
		goto err_control;

	return 0;

err_control:
	put_device(&kdbus_node_control->dev);
	kdbus_node_wait();
err_cdev:
	cdev_del(&kdbus_node_cdev);
err_class:
	class_destroy(kdbus_node_class);
err_region:
	unregister_chrdev_region(kdbus_node_devt, KDBUS_NODE_MINORS);
	return ret;
}

void kdbus_node_exit(void)
{
	device_del(&kdbus_node_control->dev);
	put_device(&kdbus_node_control->dev);
	kdbus_node_wait();

	cdev_del(&kdbus_node_cdev);
	class_destroy(kdbus_node_class);
	unregister_chrdev_region(kdbus_node_devt, KDBUS_NODE_MINORS);
	xa_destroy(&kdbus_node_minors);
}
