#!/bin/bash
# Runs a command in a virtual machine whose kernel has Bluetooth: its tests find an adapter hci0 there, with bumble behind /dev/vhci.
# The kernel is Debian's, the files are those of this machine (nothing is written to them), the processor is emulated: all is slow.
#   test/support/bluetooth-kernel.sh "test test/e2e/ble-binary.test.ts -t machine"     arguments of bun, in this repository
# Needs root, busybox-static and qemu-system-x86; fetches the kernel's package. KEEP=DIR keeps that for the next time.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=${KEEP:-$(mktemp -d)}
[ -n "${KEEP:-}" ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work/kernel" "$work/ram"/{bin,proc,sys,dev,low,up,mnt,modules}
cd "$work"
if ! ls kernel/boot/vmlinuz-* >/dev/null 2>&1; then
  package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: //p' | head -1)
  apt-get download "$package"
  dpkg -x "$package"_*.deb kernel
fi
number=10
for name in crc16 virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci 9pnet 9pnet_virtio netfs fscache 9p \
  overlay rfkill ecc ecdh_generic bluetooth hci_vhci; do
  cp "$(find kernel/lib/modules -name "$name.ko" | head -1)" "ram/modules/$number-$name.ko"
  number=$((number + 1))
done
cp "$(command -v busybox)" ram/bin/
cat >job.sh <<JOB
export PATH=$PATH HOME=$HOME TBGW_BLE_KERNEL=1
cd "$root"
"$(npx --yes bun@1.4.4 -e 'console.log(process.execPath)')" $1
JOB
cp job.sh ram/
cat >ram/init <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev
for module in /modules/*.ko; do insmod "$module"; done
ip link set lo up
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=262144,cache=loose files /low
mount -t tmpfs none /up; mkdir /up/changed /up/work
mount -t overlay -o lowerdir=/low,upperdir=/up/changed,workdir=/up/work none /mnt
mount -t tmpfs none /mnt/tmp; mount -t tmpfs none /mnt/run
for folder in dev proc sys; do mount --bind /$folder /mnt/$folder; done
mkdir -p /dev/pts /dev/shm; mount -t devpts none /dev/pts; mount -t tmpfs none /dev/shm
cp /job.sh /mnt/tmp/
chroot /mnt /bin/bash /tmp/job.sh
echo "ended with $?"
poweroff -f
INIT
chmod +x ram/init
(cd ram && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 >../ram.gz)
qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 3000 -nodefaults -nographic -no-reboot -serial stdio \
  -kernel "$(ls kernel/boot/vmlinuz-* | head -1)" -initrd ram.gz -append "console=ttyS0 panic=-1 quiet" \
  -virtfs local,path=/,mount_tag=files,security_model=none,readonly=on,multidevs=remap | tee console.log
grep -q "^ended with 0" console.log
