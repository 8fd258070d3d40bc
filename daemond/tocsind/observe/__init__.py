"""Observers: they read state and events, and change nothing that a signal depends on.

status           `tocsin status`; lane_view: one lane, for people
conditions       what is wrong, from events; alarms, alarm_routes, last_alarm: how people learn of it
loss_reports     expired, dead and dropped signals, reported to people
heartbeat        pings an external monitor while deliveries succeed; liveness: whether journal and lanes make progress
metrics, prometheus, http_endpoints    counters, their exposition, /metrics /healthz /readyz
event_feed, log, log_writer            `tocsin tail`, and the log; refusal_limit: what both get of refused connections
dry_run          `tocsin test`
build_info       versions, for bug reports
"""
