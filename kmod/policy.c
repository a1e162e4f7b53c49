// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cred.h>
#include <linux/uidgid.h>

#include "connection.h"
#include "policy.h"

/**
 * kdbus_policy_may_own() - may a connection own a name?
 * @conn:	the connection
 * @name:	the name
 *
 * Return: whether it may.
 */
bool kdbus_policy_may_own(const struct kdbus_conn *conn, const char *name)
{
	return conn->owner;
}

/**
 * kdbus_policy_may_talk() - may a connection talk to another?
 * @conn:	the connection
 * @cred:	whose credentials count for @conn
 * @peer:	the other
 *
 * Return: whether it may.
 */
bool kdbus_policy_may_talk(const struct kdbus_conn *conn, const struct cred *cred,
			   const struct kdbus_conn *peer)
{
	return conn->owner || uid_eq(cred->euid, peer->cred->uid);
}
