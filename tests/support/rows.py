# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""What each row of /metrics means, written down apart from the agent's catalogue, and its values in a page."""

import re

from support.prometheus import grouped, parse, total

# row of etcd.*; families, of which the first that is there counts; labels that name an instance, in their order
SINGLE = """
server.has_leader                   etcd_server_has_leader
server.is_learner                   etcd_server_is_learner
server.leader_changes               etcd_server_leader_changes_seen_total
server.proposals.committed          etcd_server_proposals_committed_total
server.proposals.applied            etcd_server_proposals_applied_total
server.proposals.pending            etcd_server_proposals_pending
server.proposals.failed             etcd_server_proposals_failed_total
server.heartbeat_send_failures      etcd_server_heartbeat_send_failures_total
server.slow_apply                   etcd_server_slow_apply_total
server.slow_read_indexes            etcd_server_slow_read_indexes_total
server.read_indexes_failed          etcd_server_read_indexes_failed_total
server.leases_expired               etcd_debugging_server_lease_expired_total
server.quota                        etcd_server_quota_backend_bytes
server.client_requests              etcd_server_client_requests_total                       type
server.health.success               etcd_server_health_success
server.health.failures              etcd_server_health_failures
server.healthcheck.state            etcd_server_healthcheck                                 type/name
server.snapshot_apply_in_progress   etcd_server_snapshot_apply_in_progress_total
disk.wal_write_bytes                etcd_disk_wal_write_bytes_total
disk.defrag_inflight                etcd_disk_defrag_inflight
mvcc.db_size                        etcd_mvcc_db_total_size_in_bytes,etcd_debugging_mvcc_db_total_size_in_bytes
mvcc.db_in_use                      etcd_mvcc_db_total_size_in_use_in_bytes
mvcc.open_read_transactions         etcd_mvcc_db_open_read_transactions
mvcc.put                            etcd_mvcc_put_total,etcd_debugging_mvcc_put_total
mvcc.delete                         etcd_mvcc_delete_total,etcd_debugging_mvcc_delete_total
mvcc.txn                            etcd_mvcc_txn_total,etcd_debugging_mvcc_txn_total
mvcc.range                          etcd_mvcc_range_total,etcd_debugging_mvcc_range_total
mvcc.events                         etcd_debugging_mvcc_events_total
mvcc.keys                           etcd_debugging_mvcc_keys_total
mvcc.revision                       etcd_debugging_mvcc_current_revision
mvcc.compact_revision               etcd_debugging_mvcc_compact_revision
mvcc.put_size                       etcd_debugging_mvcc_total_put_size_in_bytes
mvcc.watch_streams                  etcd_debugging_mvcc_watch_stream_total
mvcc.watchers                       etcd_debugging_mvcc_watcher_total
mvcc.slow_watchers                  etcd_debugging_mvcc_slow_watcher_total
mvcc.pending_events                 etcd_debugging_mvcc_pending_events_total
mvcc.compaction_keys                etcd_debugging_mvcc_db_compaction_keys_total
lease.granted                       etcd_debugging_lease_granted_total
lease.renewed                       etcd_debugging_lease_renewed_total
lease.revoked                       etcd_debugging_lease_revoked_total
network.peer.sent_bytes             etcd_network_peer_sent_bytes_total                      To
network.peer.received_bytes         etcd_network_peer_received_bytes_total                  From
network.peer.send_failures          etcd_network_peer_sent_failures_total                   To
network.peer.receive_failures       etcd_network_peer_received_failures_total               From
network.peer.active                 etcd_network_active_peers                               Remote
network.peer.known                  etcd_network_known_peers                                Remote
network.peer.disconnects            etcd_network_disconnected_peers_total                   Remote
network.client.received_bytes       etcd_network_client_grpc_received_bytes_total
network.client.sent_bytes           etcd_network_client_grpc_sent_bytes_total
network.snapshot.sent               etcd_network_snapshot_send_success                      To
network.snapshot.received           etcd_network_snapshot_receive_success                   From
grpc.started                        grpc_server_started_total                               grpc_service/grpc_method
grpc.handled                        grpc_server_handled_total                               grpc_service/grpc_method
grpc.messages.received              grpc_server_msg_received_total                          grpc_service/grpc_method
grpc.messages.sent                  grpc_server_msg_sent_total                              grpc_service/grpc_method
grpc.codes                          grpc_server_handled_total                               grpc_code
process.resident_memory             process_resident_memory_bytes
process.virtual_memory              process_virtual_memory_bytes
process.cpu_time                    process_cpu_seconds_total
process.start_time                  process_start_time_seconds
process.open_files                  process_open_fds
process.max_files                   process_max_fds
process.network.received            process_network_receive_bytes_total
process.network.sent                process_network_transmit_bytes_total
process.goroutines                  go_goroutines
process.heap_in_use                 go_memstats_heap_inuse_bytes
process.gc_time                     go_gc_duration_seconds_sum
"""
HISTOGRAMS = """
server.apply              etcd_server_apply_duration_seconds         op
server.range              etcd_server_range_duration_seconds
server.request            etcd_server_request_duration_seconds       type
disk.wal_fsync            etcd_disk_wal_fsync_duration_seconds
disk.backend_commit       etcd_disk_backend_commit_duration_seconds
disk.wal_write            etcd_disk_wal_write_duration_seconds
disk.backend_snapshot     etcd_disk_backend_snapshot_duration_seconds
disk.backend_defrag       etcd_disk_backend_defrag_duration_seconds
network.peer.round_trip   etcd_network_peer_round_trip_time_seconds  To
"""
FAILED = ("Unknown", "FailedPrecondition", "ResourceExhausted", "Internal", "Unavailable", "DataLoss",
          "DeadlineExceeded")
ZERO = ("network.peer.send_failures", "network.peer.receive_failures", "network.peer.disconnects",
        "network.snapshot.sent", "network.snapshot.received")  # for known peers, where etcd has no family yet


def rows():
    """[(row, families, labels)] of all that are sums of samples."""
    found = [(name, families.split(","), labels[0].split("/") if labels else [])
             for name, families, *labels in map(str.split, SINGLE.strip().splitlines())]
    for name, family, *labels in map(str.split, HISTOGRAMS.strip().splitlines()):
        found += [(name + ".count", [family + "_count"], labels), (name + ".time", [family + "_sum"], labels),
                  (name + ".bucket", [family + "_bucket"], labels + ["le"])]
    return found


def short(name, labels):
    """An instance as the agent names it; None where it is left out."""
    if labels[:1] == ["grpc_service"]:
        return re.sub(r"^.*\.(?=\w+/)", "", name)
    return name


def peers_alone(found, page):
    """Without From="0" and the member itself."""
    own = {labels["Local"] for labels, _ in page.get("etcd_network_active_peers", ())} or {"own"}
    return {name: value for name, value in found.items() if name.partition("/")[0] not in own | {"0"}}


def values_of(text):
    """{metric: {instance: sum}} of a page, with None for the instance of what has none; absent families left out."""
    page = parse(text)
    found = {}
    for name, families, labels in rows():
        samples = next((page[family] for family in families if family in page), None)
        if samples is not None:
            groups = grouped(samples, *labels) if labels else {None: total(samples)}
            groups = peers_alone(groups, page) if {"To", "From", "Remote"} & set(labels) else groups
            found["etcd." + name] = {short(instance, labels): value for instance, value in groups.items()}
    found.update(special_values(page))
    return found


def special_values(page):
    """The rows that are more than a sum."""
    found = {}
    for status in "success", "error":
        checks = grouped(page.get("etcd_server_healthchecks_total", ()), "type", "name", status=[status])
        found["etcd.server.healthcheck." + status] = checks
    go_version, = [labels["server_go_version"] for labels, _ in page["etcd_server_go_version"]]
    found["etcd.server.go_version"] = {None: go_version}
    failed = grouped(page.get("grpc_server_handled_total", ()), "grpc_service", "grpc_method", grpc_code=FAILED)
    found["etcd.grpc.failed"] = {short(name, ["grpc_service"]): value for name, value in failed.items()}
    family = "etcd_network_peer_round_trip_time_seconds"
    slow = grouped(page.get(family + "_count", ()), "To")
    fast = grouped(page.get(family + "_bucket", ()), "To", le=["0.1024"])
    slow = {peer: slow[peer] - fast[peer] for peer in slow.keys() & fast.keys()}
    found["etcd.network.peer.round_trip.slow"] = peers_alone(slow, page)
    return found
