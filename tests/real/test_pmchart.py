# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""The views in a real pmchart on a virtual screen, on live data of a busy cluster of three members."""

import array
import base64
import contextlib
import http.client
import itertools
import json
import os
import re
import signal
import struct
import subprocess
import threading
import time
from collections import Counter

from support.etcd import Etcd, programs
from support.pmcd import Pmcd
from support.processes import PATIENCE, tool_environment
from support.repository import REPOSITORY

BACKGROUND = 0x6ca2c9  # pmchart's default for the area in which it plots
WINDOW = 0xfbfbfb  # Qt's default around it
FIRST_COLOR = 0xffff00  # of the plots that have none of their own
PALETTE = (FIRST_COLOR, 0x0000ff, 0xff0000)  # of their first instances
WIDTH = 720  # what the views ask for, so that nothing but pmchart is on the screen

# One round moves every plot of the view EtcdStore: each kind of operation succeeds and each but gets fails.
STORE_ROUND = (
    ("PUT", "/a?value=1"),
    ("GET", "/a"),
    ("PUT", "/a?value=2&prevExist=true"),
    ("PUT", "/a?value=3&prevValue=2"),
    ("DELETE", "/a?prevValue=3"),
    ("PUT", "/a?value=4&prevExist=false"),
    ("DELETE", "/a"),
    ("PUT", "/folder?value=1"),
    ("PUT", "/missing?value=1&prevExist=true"),
    ("PUT", "/b?value=1&prevValue=2"),
    ("DELETE", "/missing?prevValue=1"),
    ("PUT", "/b?value=1&prevExist=false"),
    ("DELETE", "/missing"),
)


KEY = base64.b64encode(b"key").decode()
ROUND = tuple(("/v3/kv/" + kind, json.dumps(dict(body, key=KEY)))
              for kind, body in (("put", {"value": KEY}), ("range", {}), ("deleterange", {})))


def view(name):
    """A view of the repository."""
    return REPOSITORY / "config" / (name + ".pmchart")


def write_store(connection):
    """A round of the v2 store."""
    for method, path in STORE_ROUND:
        connection.request(method, "/v2/keys" + path)
        connection.getresponse().read()


def write_keys(connection):
    """A round of the keys of the v3 API."""
    for path, body in ROUND:
        connection.request("POST", path, body)
        connection.getresponse().read()


def keep_writing(etcd, write, stop):
    """Goes round after round until the event `stop`."""
    for path in ("/b?value=1", "/folder/key?value=1"):
        assert etcd.request("PUT", "/v2/keys" + path)[0] in (200, 201)
    connection = http.client.HTTPConnection("127.0.0.1", etcd.port, timeout=PATIENCE)
    while not stop.is_set():
        write(connection)
    connection.close()


@contextlib.contextmanager
def busy(etcd, write):
    """Keeps writing to a member, with three watches of the v2 API open."""
    stop = threading.Event()
    writer = threading.Thread(target=keep_writing, args=[etcd, write, stop])
    writer.start()
    watches = [http.client.HTTPConnection("127.0.0.1", etcd.port) for _ in range(3)]
    for watch in watches:
        watch.request("GET", "/v2/keys/quiet?wait=true")
    try:
        yield
    finally:
        for watch in watches:
            watch.close()
        stop.set()
        writer.join()


@contextlib.contextmanager
def screen(directory, height):
    """A virtual X screen; yields the environment for its clients. The file Xvfb_screen0 is the picture."""
    home = directory / "home"
    home.mkdir(mode=0o700)
    command = ["Xvfb", "-displayfd", "1", "-nolisten", "tcp", "-fbdir", str(directory),
               "-screen", "0", "%dx%dx24" % (WIDTH, height)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        display = server.stdout.readline().decode().strip()
        try:
            # an empty PCP_STDERR means standard error instead of a window
            yield tool_environment(DISPLAY=":" + display, HOME=str(home), XDG_RUNTIME_DIR=str(home),
                                   QT_QPA_PLATFORM="xcb", PCP_STDERR="")
        finally:
            server.terminate()


@contextlib.contextmanager
def pmchart(environment, *arguments):
    """A pmchart, which is ended with the pmtime that it starts."""
    with subprocess.Popen(["pmchart", *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, start_new_session=True) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)


def pixels(picture):
    """The rows of a picture in the format of xwd(1), each an array of 0xRRGGBB."""
    content = picture.read_bytes()
    header = struct.unpack(">25I", content[:100])
    header_size, height, line_size, colors = header[0], header[5], header[12], header[19]
    first = header_size + 12 * colors
    return [array.array("I", (pixel & 0xffffff for pixel in array.array("I", content[start:start + line_size])))
            for start in range(first, first + height * line_size, line_size)]


def charts_of(name):
    """For each chart of a view its plots as {color: name}."""
    charts = []
    for line in view(name).read_text().splitlines():
        if line.startswith("chart "):
            charts.append({})
        elif line.startswith("\t"):
            color, plot = re.fullmatch(r"\t(?:optional-)?plot legend \".*?\" (?:color #(\S+) )?metric (.*)",
                                       line).groups()
            charts[-1][int(color, 16) if color else FIRST_COLOR] = plot
    return charts


def plotted(picture):
    """For each plotting area of the picture, from top to bottom, how many pixels it has of each color."""
    areas = []
    # titles, legends and scales never reach the right edge of the window; plotting areas do
    for blank, rows in itertools.groupby(pixels(picture), lambda row: row[WIDTH - 12] == WINDOW):
        area = Counter(itertools.chain.from_iterable(rows))
        if not blank and BACKGROUND in area:
            areas.append(area)
    return areas


def not_plotted(name, picture):
    """The plots of a view that the picture has no data of; all if there is no such view."""
    charts = charts_of(name)
    areas = plotted(picture)
    areas += [{}] * (len(charts) - len(areas))
    return {plot for plots, area in zip(charts, areas) for color, plot in plots.items()
            if sum(drawn(area, each) for each in (PALETTE if color == FIRST_COLOR else [color])) < 20}


def drawn(area, color):
    """How many pixels a plot of this color has; those of a thin line are half of the background's."""
    def close(pixel):
        return all(abs(2 * (pixel >> shift & 255) - (color >> shift & 255) - (BACKGROUND >> shift & 255)) < 24
                   for shift in (16, 8, 0))
    return area.get(color, 0) + sum(count for pixel, count in area.items() if pixel != BACKGROUND and close(pixel))


def wait_for_plots(name, picture, lacking=(), rare=()):
    """Waits until the picture has data of all plots of a view but those `lacking`; of `rare` ones it may have some."""
    until = time.monotonic() + PATIENCE
    while True:
        missing = not_plotted(name, picture) - set(rare)
        if missing == set(lacking):
            break
        assert time.monotonic() < until, "no data of %s instead of %s" % (sorted(missing), lacking)
        time.sleep(0.3)


@contextlib.contextmanager
def drawing(name, etcd, write, directory):
    """The picture of a view of a busy member, as it is drawn."""
    height = int(re.search(r"^global height (\d+)$", view(name).read_text(), re.MULTILINE).group(1))
    with screen(directory, height) as environment, Pmcd(directory, url=etcd.url) as pmcd:
        with pmchart(environment, "-C", "-C", "-h", pmcd.host, "-c", str(view(name))) as check:
            assert check.communicate(timeout=PATIENCE)[0] == ""
        with busy(etcd, write), pmchart(environment, "-t", "0.5sec", "-h", pmcd.host, "-c", str(view(name))):
            yield directory / "Xvfb_screen0"


def test_every_plot_of_the_store_shows_data(directory, cluster):
    leader = cluster.leader()
    follower = cluster.followers()[0]
    with drawing("EtcdStore", cluster[leader], write_store, directory) as picture:
        wait_for_plots("EtcdStore", picture, lacking=["etcd.recv_append_request"])
        cluster.lead(follower)
        wait_for_plots("EtcdStore", picture)


def test_every_plot_of_today_shows_data(directory, cluster):
    troubles = {plot for plots in charts_of("Etcd") for plot in plots.values()
                if "failed" in plot or "bucket" in plot and "0.002" not in plot}
    with drawing("Etcd", cluster[cluster.leader()], write_keys, directory) as picture:
        wait_for_plots("Etcd", picture, rare=troubles | {"etcd.mvcc.db_size"})  # a file that is full hides nothing


def test_every_plot_of_the_disk_shows_data(directory):
    newest = list(programs().values())[-1]  # 3.4 counts no bytes of the log
    with Etcd(binary=newest) as etcd, drawing("EtcdDisk", etcd, write_keys, directory) as picture:
        # a file that is full hides nothing; the first sample has no rate, and as long as it shows, the axis of
        # times goes up to 1000
        wait_for_plots("EtcdDisk", picture, rare=["etcd.mvcc.db_size", "etcd.disk.wal_fsync.time",
                                                  "etcd.disk.backend_commit.time"])


def test_every_plot_of_the_cluster_shows_data(directory, cluster):
    """The members that do not answer show where one is down."""
    silent = cluster[cluster.followers()[0]]
    with drawing("EtcdCluster", cluster[cluster.leader()], write_keys, directory) as picture:
        rare = ["etcd.cluster.raft_lag", "etcd.cluster.member.time"]
        wait_for_plots("EtcdCluster", picture, ["etcd.cluster.size"], rare)
        silent.pause()
        try:
            # the axis of sizes goes up to 1000 from then on: one is missing
            wait_for_plots("EtcdCluster", picture, [], [*rare, "etcd.cluster.member.db_size"])
        finally:
            silent.resume()


def test_every_plot_of_the_peers_shows_data(directory, cluster):
    with drawing("EtcdPeers", cluster[cluster.leader()], write_keys, directory) as picture:
        wait_for_plots("EtcdPeers", picture)
