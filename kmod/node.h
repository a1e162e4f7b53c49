/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Nodes
 *
 * A node is a name below /dev/kdbus. devtmpfs creates and removes it at once,
 * with the owner and mode given here, whether or not udev runs: a node can be
 * opened as soon as kdbus_node_add() has returned, and is gone when
 * kdbus_node_remove() has.
 *
 * All nodes share one range of minors served by one cdev, so that adding a
 * node costs no entry in the kernel's table of character devices, which is
 * searched linearly within a major. open() finds the node's object by minor
 * under RCU; the object itself knows whether it is still alive.
 */
#ifndef KDBUS_NODE_H
#define KDBUS_NODE_H

#include <linux/device.h>
#include <linux/fs.h>
#include <linux/uidgid.h>

struct kdbus_ep;

/**
 * struct kdbus_node - a device node
 * @dev:	the device; owns the memory of this struct
 * @mode:	permissions
 * @uid:	owner
 * @gid:	group
 */
struct kdbus_node {
	struct device dev;
	umode_t mode;
	kuid_t uid;
	kgid_t gid;
};

struct kdbus_node *kdbus_node_add(const char *bus, const char *ep, umode_t mode,
				  kuid_t uid, kgid_t gid, struct kdbus_ep *object);
void kdbus_node_remove(struct kdbus_node *node);
int kdbus_node_resolve(struct inode *inode, struct kdbus_ep **ep);

int kdbus_node_init(const struct file_operations *fops);
void kdbus_node_exit(void);

#endif /* KDBUS_NODE_H */
