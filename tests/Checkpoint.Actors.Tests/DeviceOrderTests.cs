using System.Collections.Concurrent;

namespace Checkpoint.Actors.Tests;

[Collection(GuestCollection.Name)]
public sealed class DeviceOrderTests
{
    [KvmFact]
    public async Task No_vcpu_runs_from_a_devices_park_to_its_resume()
    {
        await using var bench = Bench.Open();
        // Many exits: a vCPU that ran in between would be in the log.
        using var guest = bench.Guest(vcpus: 3, exitEvery: 64);
        var log = new ConcurrentQueue<string>();
        var exits = new ExitProbe(guest, 3) { On = (_, _) => log.Enqueue("exit") };
        var first = new ProbeDevice("first") { Log = log };
        var second = new ProbeDevice("second") { Log = log };
        await using var machine = await bench.AttachAsync(guest, exits: exits, devices: [first, second]);
        machine.Start();
        const int rounds = 10;
        for (var i = 0; i < rounds; i++)
        {
            await exits.AllVcpusGoOnAsync();
            await Bench.CommittedAsync(machine);
        }

        await exits.AllVcpusGoOnAsync();
        await machine.StopAsync();
        var calls = 0;
        var seen = 0;
        foreach (var entry in log)
        {
            if (entry == "exit")
            {
                // Six calls make a round: between the first park and the last resume no vCPU has made an exit.
                Assert.True(calls % 6 == 0, $"a vCPU ran after call {calls % 6} of a round");
                seen++;
                continue;
            }

            var expected = (calls % 6) switch { 0 or 1 => "Park", 2 or 3 => "Capture", _ => "Resume" };
            Assert.EndsWith(expected, entry, StringComparison.Ordinal);
            calls++;
        }

        Assert.Equal(6 * rounds, calls);
        Assert.True(seen > rounds);
    }

    [KvmFact]
    public async Task What_each_device_gave_comes_back_with_its_checkpoint()
    {
        await using var bench = Bench.Open(isOnDisk: true);
        var serial = new ProbeDevice("serial");
        var disk = new ProbeDevice("disk");
        using var guest = bench.Guest();
        await using var machine = await bench.AttachAsync(guest, devices: [serial, disk]);
        machine.Start();
        await Bench.CommittedAsync(machine);
        await Bench.CommittedAsync(machine);
        for (var number = 1; number <= 2; number++)
        {
            using var restored = await bench.RestoreAsync(number);
            Assert.Equal(["guest", "serial", "disk"], restored.Document.Devices.Select(device => device.Name));
            Assert.Equal(serial.BlobOf(number).ToArray(), restored.DeviceStateOf("serial").ToArray());
            Assert.Equal(disk.BlobOf(number).ToArray(), restored.DeviceStateOf("disk").ToArray());
            Assert.Throws<KeyNotFoundException>(() => restored.DeviceStateOf("printer"));
        }
    }
}
