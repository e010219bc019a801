namespace Checkpoint.Kvm.Device;

/// <summary>
/// A device that the kernel emulates and that is set up through attributes (Documentation/virt/kvm/devices). Every call throws
/// <see cref="KvmException"/> when the kernel says no.
/// </summary>
public interface IKvmDevice : IDisposable
{
    /// <summary>KVM_HAS_DEVICE_ATTR.</summary>
    /// <param name="group">The attribute's group, such as KVM_DEV_ARM_VGIC_GRP_CTRL.</param>
    /// <param name="attribute">The attribute in the group.</param>
    bool HasAttribute(uint group, ulong attribute);

    /// <summary>KVM_GET_DEVICE_ATTR.</summary>
    /// <returns>The value; of attributes with fewer than eight bytes the rest is zero.</returns>
    ulong GetAttribute(uint group, ulong attribute);

    /// <summary>KVM_SET_DEVICE_ATTR.</summary>
    /// <param name="group">The attribute's group.</param>
    /// <param name="attribute">The attribute in the group.</param>
    /// <param name="value">The value; attributes without one, such as orders, take 0.</param>
    void SetAttribute(uint group, ulong attribute, ulong value);
}
