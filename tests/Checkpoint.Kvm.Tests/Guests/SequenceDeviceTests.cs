using Checkpoint.Kvm.Guests;
using Xunit;

namespace Checkpoint.Kvm.Tests.Guests;

public sealed class SequenceDeviceTests
{
    [Fact]
    public void Each_vcpu_counts_from_one_on_its_own()
    {
        var device = new SequenceDevice(2);

        Assert.Equal([1U, 2U, 3U], [Take(device, 0), Take(device, 0), Take(device, 0)]);
        Assert.Equal(1U, Take(device, 1));
    }

    [Fact]
    public void A_report_after_sixteen_numbers_fits()
    {
        var device = new SequenceDevice(1);
        TakeMany(device, 16);

        Assert.True(Report(device, 16));

        Assert.Equal(new SequenceCounters(16, 1, 0, 16), device[0]);
    }

    [Theory]
    [InlineData(15, 15U)]
    [InlineData(16, 15U)]
    [InlineData(17, 16U)]
    public void A_report_too_early_too_late_or_of_another_count_is_counted_as_wrong(int taken, uint reported)
    {
        var device = new SequenceDevice(1);
        TakeMany(device, taken);

        Assert.True(Report(device, reported));

        Assert.Equal(1UL, device[0].WrongReports);
    }

    [Fact]
    public void A_report_that_comes_twice_is_counted_as_wrong()
    {
        var device = new SequenceDevice(1);
        TakeMany(device, 16);
        Report(device, 16);

        Report(device, 16);

        Assert.Equal(new SequenceCounters(16, 2, 1, 16), device[0]);
    }

    [Fact]
    public void Other_ports_and_other_widths_are_not_its_own()
    {
        var device = new SequenceDevice(1);

        Assert.False(device.TryRead(0, 0x3f8, new byte[4]));
        Assert.False(device.TryRead(0, SequenceDevice.SequencePort, new byte[1]));
        Assert.False(device.TryWrite(0, SequenceDevice.SequencePort, new byte[4]));
        Assert.False(device.TryWrite(0, SequenceDevice.ReportPort, new byte[2]));
        Assert.Equal(default, device[0]);
    }

    [Fact]
    public void A_restored_device_goes_on_where_the_saved_one_was()
    {
        var device = new SequenceDevice(3);
        TakeMany(device, 16);
        Report(device, 16);
        Take(device, 2);

        var restored = new SequenceDevice(3);
        restored.RestoreState(device.SaveState());

        Assert.Equal([device[0], device[1], device[2]], [restored[0], restored[1], restored[2]]);
        Assert.Equal(17U, Take(restored, 0));
        Assert.Equal(1U, Take(restored, 1));
        Assert.Equal(2U, Take(restored, 2));
    }

    [Fact]
    public void State_keeps_its_layout()
    {
        var device = new SequenceDevice(1);
        TakeMany(device, 16);
        Report(device, 16);
        Report(device, 3);

        Assert.Equal(
            "0100000001000000" + "1000000000000000" + "0200000000000000" + "0100000000000000" + "03000000",
            Convert.ToHexString(device.SaveState()));
    }

    [Fact]
    public void State_of_another_shape_is_refused_and_changes_nothing()
    {
        var device = new SequenceDevice(2);
        Take(device, 1);
        var other = new SequenceDevice(3).SaveState();
        var newer = new SequenceDevice(2).SaveState();
        newer[0] = 2;

        Assert.Throws<InvalidDataException>(() => device.RestoreState(other));
        Assert.Throws<InvalidDataException>(() => device.RestoreState(newer));
        Assert.Throws<InvalidDataException>(() => device.RestoreState([]));
        Assert.Equal(1UL, device[1].Issued);
    }

    private static uint Take(SequenceDevice device, int vcpu)
    {
        var data = new byte[4];
        Assert.True(device.TryRead(vcpu, SequenceDevice.SequencePort, data));
        return BitConverter.ToUInt32(data);
    }

    private static void TakeMany(SequenceDevice device, int count)
    {
        for (var i = 0; i < count; i++)
        {
            Take(device, 0);
        }
    }

    private static bool Report(SequenceDevice device, uint count) =>
        device.TryWrite(0, SequenceDevice.ReportPort, BitConverter.GetBytes(count));
}
