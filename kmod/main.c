// SPDX-License-Identifier: GPL-2.0-only
#include <linux/init.h>
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "domain.h"
#include "files.h"
#include "handle.h"
#include "node.h"
#include "pool.h"
#include "queue.h"
#include "reply.h"

static int __init kdbus_init(void)
{
	int ret;

	ret = kdbus_domain_init();
	if (ret < 0)
		return ret;
	ret = kdbus_pool_init();
	if (ret < 0)
		goto err_domain;
	ret = kdbus_queue_cache_init();
	if (ret < 0)
		goto err_pool;
	ret = kdbus_reply_init();
	if (ret < 0)
		goto err_queue;
	ret = kdbus_files_init(&kdbus_handle_fops);
	if (ret < 0)
		goto err_reply;
	/* last: from here on, user space can come in */
	ret = kdbus_node_init(&kdbus_handle_fops);
	if (ret < 0)
		goto err_reply;
	return 0;

err_reply:
	kdbus_reply_exit();
err_queue:
	kdbus_queue_cache_exit();
err_pool:
	kdbus_pool_exit();
err_domain:
	kdbus_domain_exit();
	return ret;
}

static void __exit kdbus_exit(void)
{
	kdbus_node_exit();
	/* what is freed after a grace period is freed by code of ours */
	rcu_barrier();
	kdbus_reply_exit();
	kdbus_queue_cache_exit();
	kdbus_pool_exit();
	kdbus_domain_exit();
}

module_init(kdbus_init);
module_exit(kdbus_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kdbus: D-Bus in the kernel");
