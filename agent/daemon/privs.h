/* SPDX-License-Identifier: Apache-2.0 */
/* Giving up privileges, and what else belongs to the life of a process. */
#ifndef WEIR_DAEMON_PRIVS_H
#define WEIR_DAEMON_PRIVS_H

#include <stdint.h>
#include <sys/types.h>

/* "nobody", "name", "uid" or "uid:gid".  -ESRCH: no such user. */
int weir_user_find(const char *user, uid_t *ret_uid, gid_t *ret_gid);
/* Enters the network namespace at path.  0 or -errno. */
int weir_netns_enter(const char *path);
/* Room for n descriptors; less where the hard limit cannot be raised: returns
 * what there is. */
uint64_t weir_nofile_raise(uint64_t n);
/* Keys are in this process's memory: no core dump has them, and none but root
 * may look into it (ptrace, /proc/PID/mem).  An exec undoes it. */
void weir_keep_memory(void);
/* Asks for SIGTERM when the parent dies; -ESRCH if it is gone already.
 * A change of ids clears this, so it comes last. */
int weir_follow_parent(pid_t parent);
/* For the proxy: no capability, in no set, no new privileges, and, when root,
 * another user without groups.  0 or -errno; on failure exit. */
int weir_privs_drop_all(uid_t uid, gid_t gid);
/* For the agent once the programs are loaded: only what a running agent needs
 * (see privs.c), no new privileges.  0 or -errno. */
int weir_privs_drop_agent(void);

#endif
