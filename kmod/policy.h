/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Policy
 *
 * Who may own which name, and who may talk to whom. Without entries that grant
 * more, the owner of the bus may do everything, and everybody may talk to
 * connections of the same user.
 */
#ifndef KDBUS_POLICY_H
#define KDBUS_POLICY_H

#include <linux/types.h>

struct cred;
struct kdbus_conn;

bool kdbus_policy_may_own(const struct kdbus_conn *conn, const char *name);
bool kdbus_policy_may_talk(const struct kdbus_conn *conn, const struct cred *cred,
			   const struct kdbus_conn *peer);

#endif /* KDBUS_POLICY_H */
