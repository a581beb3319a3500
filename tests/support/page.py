# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a page of /metrics says each metric is: read simply, by a list that knows nothing of the agent's own."""

import collections
import re

from support.etcd import version_tuple

# name below etcd., family, and after which labels there are instances; h is a histogram: .count, .time and .bucket
LIST = """
server.has_leader etcd_server_has_leader
server.is_learner etcd_server_is_learner
server.leader_changes etcd_server_leader_changes_seen_total
server.proposals.committed etcd_server_proposals_committed_total
server.proposals.applied etcd_server_proposals_applied_total
server.proposals.pending etcd_server_proposals_pending
server.proposals.failed etcd_server_proposals_failed_total
server.heartbeat_send_failures etcd_server_heartbeat_send_failures_total
server.slow_apply etcd_server_slow_apply_total
server.slow_read_indexes etcd_server_slow_read_indexes_total
server.read_indexes_failed etcd_server_read_indexes_failed_total
server.leases_expired etcd_debugging_server_lease_expired_total
server.quota etcd_server_quota_backend_bytes
server.client_requests etcd_server_client_requests_total type
server.health.success etcd_server_health_success
server.health.failures etcd_server_health_failures
server.healthcheck.state etcd_server_healthcheck type/name
server.snapshot_apply_in_progress etcd_server_snapshot_apply_in_progress_total
server.apply h:etcd_server_apply_duration_seconds op
server.range h:etcd_server_range_duration_seconds
server.request h:etcd_server_request_duration_seconds type
disk.wal_fsync h:etcd_disk_wal_fsync_duration_seconds
disk.backend_commit h:etcd_disk_backend_commit_duration_seconds
disk.wal_write h:etcd_disk_wal_write_duration_seconds
disk.backend_snapshot h:etcd_disk_backend_snapshot_duration_seconds
disk.backend_defrag h:etcd_disk_backend_defrag_duration_seconds
disk.wal_write_bytes etcd_disk_wal_write_bytes_total
disk.defrag_inflight etcd_disk_defrag_inflight
mvcc.db_size etcd_mvcc_db_total_size_in_bytes
mvcc.db_in_use etcd_mvcc_db_total_size_in_use_in_bytes
mvcc.open_read_transactions etcd_mvcc_db_open_read_transactions
mvcc.put etcd_mvcc_put_total
mvcc.delete etcd_mvcc_delete_total
mvcc.txn etcd_mvcc_txn_total
mvcc.range etcd_mvcc_range_total
mvcc.events etcd_debugging_mvcc_events_total
mvcc.keys etcd_debugging_mvcc_keys_total
mvcc.revision etcd_debugging_mvcc_current_revision
mvcc.compact_revision etcd_debugging_mvcc_compact_revision
mvcc.put_size etcd_debugging_mvcc_total_put_size_in_bytes
mvcc.watch_streams etcd_debugging_mvcc_watch_stream_total
mvcc.watchers etcd_debugging_mvcc_watcher_total
mvcc.slow_watchers etcd_debugging_mvcc_slow_watcher_total
mvcc.pending_events etcd_debugging_mvcc_pending_events_total
mvcc.compaction_keys etcd_debugging_mvcc_db_compaction_keys_total
lease.granted etcd_debugging_lease_granted_total
lease.renewed etcd_debugging_lease_renewed_total
lease.revoked etcd_debugging_lease_revoked_total
network.peer.round_trip h:etcd_network_peer_round_trip_time_seconds To
network.peer.sent_bytes etcd_network_peer_sent_bytes_total To
network.peer.received_bytes etcd_network_peer_received_bytes_total From
network.peer.send_failures etcd_network_peer_sent_failures_total To
network.peer.receive_failures etcd_network_peer_received_failures_total From
network.peer.active etcd_network_active_peers Remote
network.peer.known etcd_network_known_peers Remote
network.peer.disconnects etcd_network_disconnected_peers_total Remote
network.client.received_bytes etcd_network_client_grpc_received_bytes_total
network.client.sent_bytes etcd_network_client_grpc_sent_bytes_total
network.snapshot.sent etcd_network_snapshot_send_success To
network.snapshot.received etcd_network_snapshot_receive_success From
grpc.started grpc_server_started_total grpc_service/grpc_method
grpc.handled grpc_server_handled_total grpc_service/grpc_method
grpc.messages.received grpc_server_msg_received_total grpc_service/grpc_method
grpc.messages.sent grpc_server_msg_sent_total grpc_service/grpc_method
grpc.codes grpc_server_handled_total grpc_code
process.resident_memory process_resident_memory_bytes
process.virtual_memory process_virtual_memory_bytes
process.cpu_time process_cpu_seconds_total
process.start_time process_start_time_seconds
process.open_files process_open_fds
process.max_files process_max_fds
process.network.received process_network_receive_bytes_total
process.network.sent process_network_transmit_bytes_total
process.goroutines go_goroutines
process.heap_in_use go_memstats_heap_inuse_bytes
process.gc_time go_gc_duration_seconds_sum
"""
# the first versions that have what is younger than 3.4; one of each line of releases that got it as a patch
SINCE = {"server.healthcheck": ["3.4.29", "3.5.11"], "server.apply": ["3.5.0"], "server.range": ["3.6.0"],
         "server.request": ["3.7.0"], "disk.wal_write.": ["3.5.14"], "disk.defrag_inflight": ["3.4.18", "3.5.2"],
         "network.peer.known": ["3.6.0"], "process.network": ["3.6.0"]}
# where nothing happened yet there is no sample, and 0 is the truth
ZERO = ("network.peer.send_failures", "network.peer.receive_failures", "network.peer.disconnects", "network.snapshot")
FAILED = ("Unknown", "FailedPrecondition", "ResourceExhausted", "Internal", "Unavailable", "DataLoss",
          "DeadlineExceeded")  # as in etcd's own alert rule


def parse(text):
    """{family: [(labels, value)]} of a page."""
    families = collections.defaultdict(list)
    for name, labels, value in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE):
        families[name].append((dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)))
    return families


def is_younger(name, version):
    """Whether a metric is younger than a version of etcd, by its name below etcd."""
    since = next((versions for prefix, versions in SINCE.items() if (name + ".").startswith(prefix)), [])
    own = version_tuple(version)
    line = [version_tuple(each) for each in since if version_tuple(each)[:2] == own[:2]]
    return bool(since) and own < max(line or [version_tuple(each) for each in since])


def expected(text):
    """{metric: number, or {instance: number}, or None where the page has nothing} of clusters 5 to 10."""
    families = parse(text)
    values = {}
    for line in LIST.strip().split("\n"):
        name, family, by = (line + " ").split(" ", 2)
        by = by.strip()
        if family.startswith("h:"):
            family = family[len("h:"):]
            values[name + ".count"] = total(families.get(family + "_count", []), by)
            values[name + ".time"] = total(families.get(family + "_sum", []), by)
            values[name + ".bucket"] = total(families.get(family + "_bucket", []), (by + "/le").lstrip("/"))
        else:
            values[name] = total(families.get(family, []), by)
    handled, checks = families.get("grpc_server_handled_total", []), families.get("etcd_server_healthchecks_total", [])
    values["grpc.failed"] = total([each for each in handled if each[0]["grpc_code"] in FAILED],
                                  "grpc_service/grpc_method")
    for status in ("success", "error"):
        values["server.healthcheck." + status] = total([each for each in checks if each[0]["status"] == status],
                                                       "type/name")
    slow, fast = values["network.peer.round_trip.count"], values["network.peer.round_trip.bucket"]
    values["network.peer.round_trip.slow"] = {peer: slow[peer] - fast[peer + "/0.1024"] for peer in slow}
    values["server.go_version"] = next((labels["server_go_version"]
                                        for labels, _ in families.get("etcd_server_go_version", [])), None)
    fill(values)
    return {"etcd." + name: value for name, value in values.items()}


def total(samples, by):
    """Samples summed by labels: a number, or {instance: number}; None for a number where there is no sample."""
    if not by:
        return sum(value for _, value in samples) if samples else None
    sums = collections.Counter()
    for labels, value in samples:
        parts = [labels[label].rpartition(".")[2] if label == "grpc_service" else labels[label]
                 for label in by.split("/")]
        if parts[0] not in ("0", labels.get("Local")):
            sums["/".join(parts)] += value
    return dict(sums)


def fill(values):
    """Adds the zeros of instances that others of their domain have."""
    peers = {peer for name, value in values.items() if name.startswith(("network.peer.", "network.snapshot."))
             and not name.endswith("bucket") for peer in value}
    for name, instances in (("grpc.failed", values["grpc.handled"]),
                            ("server.healthcheck.success", values["server.healthcheck.state"]),
                            ("server.healthcheck.error", values["server.healthcheck.state"])):
        values[name] = dict(dict.fromkeys(instances, 0), **values[name])
    for name in values:
        if name.startswith(ZERO):
            values[name] = dict(dict.fromkeys(peers, 0), **values[name])
