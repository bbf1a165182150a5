/** Folder below which the control groups of such machines are, in the hierarchy of version 2. */
const GROUPS = "tbgw-test";

/** Mounts that hierarchy in `$dir/groups`, wherever the machine has it; needs a mount namespace of its own. */
const MOUNT_GROUPS = 'mount -t cgroup2 cgroup2 "$dir/groups"';

/** Units of the system that would look after the machine: there is nothing to look after. */
const WANTED = ["sysinit", "local-fs", "timers", "sockets", "multi-user"]
  .map((name) => `lib/systemd/system/${name}.target.wants/*`)
  .join(" ");

/** Whether this kernel lets us mount what a systemd of its own needs. Needs root. */
export function canRunSystemd(): boolean {
  const script = `
    set -e
    dir=$(mktemp -d)
    mount -t tmpfs tmpfs "$dir"
    mkdir "$dir/groups" "$dir/up" "$dir/work" "$dir/root"
    ${MOUNT_GROUPS}
    mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/up,workdir=$dir/work" "$dir/root"
    umount "$dir/root" "$dir/groups" "$dir"
    rmdir "$dir"
  `;
  const command = ["unshare", "-m", "-C", "sh", "-c", script];
  return Bun.spawnSync(command, { stdout: "ignore", stderr: "ignore" }).exitCode === 0;
}

/**
 * A script for `sh -c` in mount and process namespaces of its own that becomes systemd. Everything it sees is a layer over this machine's
 * files that vanishes with it, but for `dir`, which is the same folder inside, and `binds`, folders of this machine by their place inside.
 * Devices are its own, what the kernel can be told is only to be read, the network is shared. Prints "ready" before systemd starts.
 */
export function systemdScript(dir: string, binds: Readonly<Record<string, string>>): string {
  return `
    set -e
    dir=${dir}
    mkdir -p "$dir/groups" "$dir/layer"
    ${MOUNT_GROUPS}
    mkdir -p "$dir/groups/${GROUPS}/${groupOf(dir)}"
    echo $$ >"$dir/groups/${GROUPS}/${groupOf(dir)}/cgroup.procs"
    umount "$dir/groups"
    exec unshare -C -u -i sh -c '${inside(dir, binds)}'
  `;
}

/** Removes the control groups that a systemd has left. */
export async function removeGroups(dir: string): Promise<void> {
  const script = `
    [ -d "$dir/groups" ] || exit 0
    ${MOUNT_GROUPS}
    own="$dir/groups/${GROUPS}/${groupOf(dir)}"
    # Processes that were killed are gone a moment later.
    for attempt in $(seq 100); do
      find "$own" -depth -type d -exec rmdir {} + 2>/dev/null && break
      sleep 0.1
    done
    rmdir --ignore-fail-on-non-empty "$dir/groups/${GROUPS}"
  `;
  await Bun.spawn(["unshare", "-m", "sh", "-c", `dir=${dir}\n${script}`]).exited;
}

function groupOf(dir: string): string {
  return dir.replaceAll("/", "-").slice(1);
}

function inside(dir: string, binds: Readonly<Record<string, string>>): string {
  const places = Object.entries({ ...binds, [dir]: dir });
  return `
    set -e
    mount -t tmpfs tmpfs ${dir}/layer
    cd ${dir}/layer
    mkdir up work root
    mount -t overlay overlay -o lowerdir=/,upperdir=up,workdir=work root
    cd root
    mount -t tmpfs tmpfs tmp
    mount -t tmpfs tmpfs run
    mount -t tmpfs -o mode=755 tmpfs dev
    ${places.map(([from, to]) => `mkdir -p .${to}; mount --bind ${from} .${to}`).join("\n    ")}
    rm -rf etc/systemd/system/* etc/fstab
    for unit in ${WANTED}; do
      case $unit in
        *journald* | *.target) ;;
        *) ln -sf /dev/null "etc/systemd/system/\${unit##*/}" ;;
      esac
    done
    mount -t proc proc proc
    mount --bind proc/sys proc/sys
    mount -o remount,bind,ro proc/sys
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    for name in null zero full random urandom tty; do
      touch dev/$name
      mount --bind /dev/$name dev/$name
    done
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
    ln -s pts/ptmx dev/ptmx
    mkdir -p .outside
    pivot_root . .outside
    cd /
    umount -l /.outside
    echo ready
    exec env -i container=tbgw-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
      /lib/systemd/systemd --system --unit=basic.target --show-status=no --log-target=journal
  `;
}
