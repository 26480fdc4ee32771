"""Ready-made machines, one a file.

The states and events of virtual machine, volume, network and snapshot are Apache CloudStack's, complete.  Which event
leads from where to where is ours, along the usual ways of such a resource; NIC and host, which had no machine, are
ours altogether.  Where your control plane goes other ways, write a table of your own.
"""
