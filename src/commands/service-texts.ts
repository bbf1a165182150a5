import { recordLine, type ServicePlan } from "./service-plan.ts";

/** Who wrote a file, in its first lines. */
const WRITTEN = `Written by "tbgw service install"; the next one writes it again.`;

/**
 * The run time's allocator looks every few hundred milliseconds whether memory can go back to the system. Every 30 s does as well and lets an idle
 * processor sleep: with the platform away 290 instead of 586 context switches a minute, at 0.5 MB more memory.
 */
const QUIET_ALLOCATOR = "MIMALLOC_PURGE_HOLES_MIN_INTERVAL=30000";

/** Text of `/etc/systemd/system/tbgw.service`. Settings of a person go to `systemctl edit tbgw`. */
export function systemdUnit(plan: ServicePlan): string {
  const { user, binary, configDir, dataDir } = plan;
  return `# ${WRITTEN}
${recordLine(plan)}
[Unit]
Description=tbgw, ThingsBoard IoT gateway
# No network is needed to start: what is collected is kept until the platform can be reached.
After=network.target
StartLimitIntervalSec=0

[Service]
Type=notify
# An upgrade that was cut short is taken back, by the program before it; as root, for the files are root's.
ExecStartPre=-+/bin/sh -c 'test ! -e ${binary}.upgrading || exec ${binary}.previous upgrade --recover --no-restart'
Environment=${QUIET_ALLOCATOR}
ExecStart=${binary} run --config ${configDir} --data ${dataDir}
ExecReload=/bin/kill -HUP $MAINPID
User=${user}
Restart=on-failure
RestartSec=2
# A configuration that cannot be used: a person must change it first.
RestartPreventExitStatus=3
# The first start may take over what a Python gateway left behind.
TimeoutStartSec=15min
TimeoutStopSec=30
# Longer than the gateway itself waits for a connector that hangs: it names it.
WatchdogSec=90
# Not SIGABRT: the runtime would report a crash of its own.
WatchdogSignal=SIGKILL
UMask=0027
WorkingDirectory=/

${hardening(plan)}

[Install]
WantedBy=multi-user.target
`;
}

/** The gateway may do what its configuration needs, and nothing else. */
function hardening({ binary, configDir, dataDir, bluetooth, groups }: ServicePlan): string {
  const capabilities = bluetooth ? "CAP_NET_RAW CAP_NET_ADMIN" : "";
  const families = `AF_UNIX AF_INET AF_INET6 AF_NETLINK${bluetooth ? " AF_BLUETOOTH" : ""}`;
  // Which devices are serial ports, their group says. A list of kinds would shut out an adapter whose driver is loaded after the start, when it
  // is plugged in: systemd looks the kinds up once.
  const devices =
    groups.length === 0 ? "PrivateDevices=yes" : `SupplementaryGroups=${groups.join(" ")}`;
  const home = [configDir, dataDir, binary].some((path) => /^\/(?:home|root)\//.test(path));
  return `CapabilityBoundingSet=${capabilities}
AmbientCapabilities=${capabilities}
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=${configDir} ${dataDir}
ProtectHome=${home ? "no" : "yes"}
PrivateTmp=yes
${devices}
ProtectClock=${groups.length === 0 ? "yes" : "no"}
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=${families}
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native`;
}

const OPENRC_BODY = `name="tbgw"
description="ThingsBoard IoT gateway"
description_reload="Take changed configuration files without a restart"
extra_started_commands="reload"

export ${QUIET_ALLOCATOR}
supervisor="supervise-daemon"
command="$tbgw_binary"
command_args="run --config '$tbgw_config' --data '$tbgw_data' --log-file '$tbgw_log'"
command_user="$tbgw_user:$(id -gn "$tbgw_user")"
pidfile="/run/\${RC_SVCNAME}.pid"
# It is started again for ever: a gateway that gave up would be silent.
respawn_delay="\${respawn_delay:-5}"
respawn_max="\${respawn_max:-0}"
retry="\${retry:-TERM/20/KILL/5}"
umask="0027"
# Only what does not go to the log, such as the report of a crash. The program keeps both small.
output_log="/var/log/tbgw.output"
error_log="/var/log/tbgw.output"

if [ -n "$tbgw_capabilities" ]; then
	if supervise-daemon "$RC_SVCNAME" --capabilities "$tbgw_capabilities" --version >/dev/null 2>&1; then
		capabilities="$tbgw_capabilities"
	else
		# This supervise-daemon cannot hand on capabilities; setpriv of util-linux can.
		tbgw_raised="$(echo "$tbgw_capabilities" | sed 's/\\^cap_/+/g')"
		command_args="--reuid $tbgw_user --regid $(id -g "$tbgw_user") --init-groups --inh-caps $tbgw_raised --ambient-caps $tbgw_raised --bounding-set -all,$tbgw_raised -- $command $command_args"
		command="$(command -v setpriv)"
		unset command_user
	fi
fi

depend() {
	# Not "need": data is collected and kept while there is no network.
	use net logger dns
	after localmount bootmisc firewall
}

start_pre() {
	if [ -z "$command" ]; then
		eerror "Bluetooth needs setpriv of util-linux on this system"
		return 1
	fi
	checkpath --directory --owner "$tbgw_user" --mode 0750 "$tbgw_data" "$(dirname "$tbgw_log")" || return 1
	checkpath --file --owner "$tbgw_user" --mode 0640 "$output_log" || return 1
	if [ -e "$tbgw_binary.upgrading" ]; then
		# An upgrade that was cut short is taken back, by the program before it.
		"$tbgw_binary.previous" upgrade --recover --no-restart
	fi
	local found
	if ! found="$("$tbgw_binary" check --startable --config "$tbgw_config" --data "$tbgw_data" 2>&1)"; then
		eerror "$found"
		return 1
	fi
}

reload() {
	ebegin "Reloading $name"
	supervise-daemon "$RC_SVCNAME" --signal HUP --pidfile "$pidfile"
	eend $?
}
`;

/** Text of `/etc/init.d/tbgw`. What it is started with is in `/etc/conf.d/tbgw`. */
export function openrcScript(plan: ServicePlan): string {
  return `#!/sbin/openrc-run
# ${WRITTEN} Settings are in /etc/conf.d/tbgw.
${recordLine(plan)}

${OPENRC_BODY}`;
}

/** The settings of `/etc/conf.d/tbgw` that an installation decides. */
export function openrcSettings(plan: ServicePlan): Readonly<Record<string, string>> {
  return {
    tbgw_user: plan.user,
    tbgw_binary: plan.binary,
    tbgw_config: plan.configDir,
    tbgw_data: plan.dataDir,
    tbgw_log: logFile(plan),
    tbgw_capabilities: plan.bluetooth ? "^cap_net_raw,^cap_net_admin" : "",
  };
}

/** `/etc/conf.d/tbgw` with these settings; what else a person wrote there stays. */
export function mergeSettings(
  existing: string | undefined,
  settings: Readonly<Record<string, string>>,
): string {
  const open = new Map(Object.entries(settings));
  const text = existing ?? "# Settings of /etc/init.d/tbgw.\n";
  const lines = text.replace(/\n$/, "").split("\n");
  const merged = lines.map((line) => {
    const name = /^([a-z_]+)=/.exec(line)?.[1] ?? "";
    const value = open.get(name);
    open.delete(name);
    return value === undefined ? line : `${name}="${value}"`;
  });
  return `${[...merged, ...[...open].map(([name, value]) => `${name}="${value}"`)].join("\n")}\n`;
}

/** Where the log goes under OpenRC and cron: two files of 5 MiB at most. */
export function logFile({ dataDir }: Pick<ServicePlan, "dataDir">): string {
  return `${dataDir}/logs/tbgw.log`;
}

/** What is written besides the log under cron, such as the report of a crash. */
export function cronOutputFile({ dataDir }: Pick<ServicePlan, "dataDir">): string {
  return `${dataDir}/logs/output.log`;
}

/** Locked while the gateway runs under cron. */
export function cronLockFile({ dataDir }: Pick<ServicePlan, "dataDir">): string {
  return `${dataDir}/service.lock`;
}

/** Number of the process that runs while the lock is held. */
export function cronPidFile({ dataDir }: Pick<ServicePlan, "dataDir">): string {
  return `${dataDir}/service.pid`;
}

/** The script that cron calls: starts the gateway unless it runs. */
export function cronScript(plan: ServicePlan): string {
  return `#!/bin/sh
# ${WRITTEN}
${recordLine(plan)}
# Starts the gateway unless it runs: cron calls this as the machine starts, and every minute.
PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
export ${QUIET_ALLOCATOR}
umask 027
cd / || exit 1
mkdir -p ${plan.dataDir}/logs || exit 1
exec 9>>${cronLockFile(plan)} || exit 1
# The kernel holds the lock for the gateway, and lets it go when that ends, however it ends: a lock is never stale.
flock -n 9 || exit 0
# Not in the session of cron: a stop of cron does not stop the gateway. The shell holds the lock as long as the gateway lives, also when that
# starts itself again in the same process, which closes every file it was given.
setsid /bin/sh -c '
  ${plan.binary} run --config ${plan.configDir} --data ${plan.dataDir} --log-file ${logFile(plan)} &
  echo $! >${cronPidFile(plan)}
  wait $!
' >>${cronOutputFile(plan)} 2>&1 </dev/null &
`;
}

/**
 * The lines of a crontab; with the name of the user where the file is of the whole system. The last one takes back an upgrade that was cut
 * short, as whoever can replace the program.
 */
export function cronLines(
  { script, binary, raised }: CronFiles,
  user: string | undefined,
): readonly string[] {
  const starter = raised === undefined ? user : `root ${raised}`;
  const start = `${starter === undefined ? "" : `${starter} `}/bin/sh ${script} ${CRON_MARK}`;
  const recover = `test ! -e ${binary}.upgrading || ${binary}.previous upgrade --recover 2>&1 | logger -t tbgw ${CRON_MARK}`;
  return [
    `@reboot ${start}`,
    `* * * * * ${start}`,
    `* * * * * ${user === undefined ? "" : "root "}${recover}`,
  ];
}

/** What the lines are about. */
export interface CronFiles {
  /** Of `cronScript`. */
  readonly script: string;
  readonly binary: string;
  /** What root puts before the command, in a table of the whole system; else the user runs it. */
  readonly raised?: string | undefined;
}

/** What root puts before a command so that a user runs it who may open Bluetooth adapters; needs setpriv of util-linux. */
export function cronRaise(user: string, setpriv: string | undefined): string | undefined {
  const both = "+net_raw,+net_admin";
  return setpriv === undefined
    ? undefined
    : `${setpriv} --reuid ${user} --regid $(id -g ${user}) --init-groups --inh-caps ${both} --ambient-caps ${both} --bounding-set -all,${both}`;
}

/** Ends each of our lines: to the shell a comment. */
const CRON_MARK = "# tbgw";

/** A crontab without our lines. */
export function withoutCronLines(crontab: string): string {
  const kept = crontab.split("\n").filter((line) => !line.endsWith(CRON_MARK));
  return kept.join("\n").replace(/\n*$/, kept.every((line) => line === "") ? "" : "\n");
}

/** Text of `/etc/cron.d/tbgw`. */
export function cronTable(files: CronFiles, user: string): string {
  return `# ${WRITTEN}\nMAILTO=""\n${cronLines(files, user).join("\n")}\n`;
}
