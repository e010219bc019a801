using System.Runtime.CompilerServices;
using Checkpoint.Protocol.History;

namespace Checkpoint.Storage;

/// <summary>Keeps names that could leave their folder, or their stream, out of paths and keys.</summary>
internal static class MachineNames
{
    public static void Check(string vm, [CallerArgumentExpression(nameof(vm))] string? parameter = null)
    {
        if (!MachineName.IsValid(vm, out var reason))
            throw new ArgumentException(reason, parameter);
    }
}
