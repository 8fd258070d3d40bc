"""Observers: they read state and events, and change nothing that a signal depends on.

health           what is wrong, evaluated in one place; health_check reads what that needs
status           `tocsin status`; destination_view: one destination, as JSON
story            the story of one signal, for `why` and the page
alarms           alarms and all-clears; alarm_tracker: alarms from events; alarm_texts, alarm_routes: what they say, where they go
last_alarm       the alarm of a daemon that has lost its journal
damage           damaged files of the state folder: alarms and status
loss_reports     reports of expired, dead and dropped signals
heartbeat        pings an external monitor while deliveries succeed
liveness         whether journal and lanes make progress, for the watchdog and `/healthz`
metrics          counters; prometheus: their text
event_bus        gives each event to the observers
event_feed       `tocsin tail`; log, log_writer: the log; refusal_limit: what both get of refused connections
dry_run          `tocsin test`
build_info       versions, for bug reports
"""
