"""The machine around the daemon: service manager, socket file, state folder, process limits, other users.

systemd, watchdog      inherited socket, READY, status, watchdog pings
unix_socket            the listening socket's file: stale, deleted, taken over
accept_loop            accepts connections, also while no file descriptor is left
state_folder           owner, mode and lock of the state folder
damaged_files          moves damaged files aside, with the reason
hardening, interrupts  private memory and files; Ctrl-C during start
loopback, bundle       loopback names; which kind of installation runs
"""
