using System.Buffers.Binary;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>
/// What may pass through the general Get and Set: only requests whose struct has no pointer and no count in it, so that the
/// kernel never touches more than the span it was given.
/// </summary>
internal static class StructArgument
{
    private static readonly KvmRequest[] s_withPointerOrCount =
    [
        KvmRequests.GetMsrIndexList, KvmRequests.GetMsrFeatureIndexList, KvmRequests.GetSupportedCpuid,
        KvmRequests.SetUserMemoryRegion, KvmRequests.GetDirtyLog, KvmRequests.ClearDirtyLog, KvmRequests.SetGsiRouting,
        KvmRequests.GetMsrs, KvmRequests.SetMsrs, KvmRequests.GetCpuid2, KvmRequests.SetCpuid2,
        KvmRequests.SetSignalMask, KvmRequests.GetOneReg, KvmRequests.SetOneReg, KvmRequests.GetRegList,
        KvmRequests.GetManyRegs, KvmRequests.SetManyRegs,
        KvmRequests.GetDeviceAttr, KvmRequests.SetDeviceAttr, KvmRequests.HasDeviceAttr,
    ];

    private static readonly HashSet<uint> s_refused = [.. s_withPointerOrCount.Select(request => request.Code)];

    internal static void CheckVm(in KvmRequest request, int length)
    {
        Check(request);
        if (length != request.ArgumentSize)
            throw new ArgumentException($"{request} takes {request.ArgumentSize} bytes; {length} were given.");
    }

    /// <param name="request">The request.</param>
    /// <param name="argument">Its struct.</param>
    /// <param name="xsaveBytes">KVM_CAP_XSAVE2: what KVM_GET_XSAVE2 writes and KVM_SET_XSAVE reads, whatever the code's size says.</param>
    internal static void CheckVcpu(in KvmRequest request, ReadOnlySpan<byte> argument, int xsaveBytes)
    {
        Check(request);
        var neededBytes = (long)request.ArgumentSize;
        if (request.Code == KvmRequests.GetXsave2.Code || request.Code == KvmRequests.SetXsave.Code)
            neededBytes = Math.Max(neededBytes, xsaveBytes);
        else if (IsNestedState(request.Code) && argument.Length >= neededBytes)
            neededBytes = Math.Max(neededBytes, BinaryPrimitives.ReadUInt32LittleEndian(argument[4..]));
        if (argument.Length < neededBytes)
            throw new ArgumentException($"{request} takes {neededBytes} bytes; {argument.Length} were given.");
    }

    internal static void CheckValue(in KvmRequest request)
    {
        if (request.ArgumentSize != 0 || request.Code == KvmRequests.Run.Code)
            throw new ArgumentException($"{request} is not a call on a plain number.");
    }

    private static void Check(in KvmRequest request)
    {
        if (request.ArgumentSize == 0 || s_refused.Contains(request.Code))
            throw new ArgumentException($"{request} has a call of its own: its argument is not a struct of fixed size.");
    }

    private static bool IsNestedState(uint code) =>
        code == KvmRequests.GetNestedState.Code || code == KvmRequests.SetNestedState.Code;
}
