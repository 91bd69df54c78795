// A Go client of IPVS, on the library that Docker and kube-proxy use (github.com/moby/ipvs, unmodified), linked
// statically: it makes its system calls without a C library. Prints what each call answered, for the comparison of the
// kernel's IPVS with ipvsd.
package main

import (
	"fmt"
	"net"
	"sort"
	"sync"
	"time"

	"github.com/moby/ipvs"
	"golang.org/x/sys/unix"
)

func said(what string, err error) {
	if errno, ok := err.(unix.Errno); ok {
		fmt.Printf("%s: %s\n", what, unix.ErrnoName(errno))
	} else if err != nil {
		fmt.Printf("%s: %v\n", what, err)
	} else {
		fmt.Printf("%s: ok\n", what)
	}
}

func service(address string, protocol, port uint16, scheduler string) *ipvs.Service {
	ip := net.ParseIP(address)
	family, mask := uint16(unix.AF_INET), uint32(0xffffffff)
	if ip.To4() == nil {
		family, mask = unix.AF_INET6, 128
	}
	return &ipvs.Service{Address: ip, Protocol: protocol, Port: port, SchedName: scheduler, AddressFamily: family, Netmask: mask}
}

func marked(mark uint32, family uint16) *ipvs.Service {
	return &ipvs.Service{FWMark: mark, SchedName: "rr", AddressFamily: family, Netmask: 0xffffffff}
}

func server(address string, port uint16, weight int, method uint32) *ipvs.Destination {
	ip := net.ParseIP(address)
	family := uint16(unix.AF_INET)
	if ip.To4() == nil {
		family = unix.AF_INET6
	}
	return &ipvs.Destination{Address: ip, Port: port, Weight: weight, ConnectionFlags: method, AddressFamily: family}
}

func show(s *ipvs.Service) string {
	return fmt.Sprintf("af %d proto %d %v:%d mark %d sched %s flags %#x timeout %d mask %#x pe %q stats %+v",
		s.AddressFamily, s.Protocol, s.Address, s.Port, s.FWMark, s.SchedName, s.Flags, s.Timeout, s.Netmask, s.PEName, s.Stats)
}

func list(handle *ipvs.Handle) {
	services, err := handle.GetServices()
	said("GetServices", err)
	var lines []string
	for _, s := range services {
		text := "  " + show(s)
		destinations, err := handle.GetDestinations(s)
		if err != nil {
			text += fmt.Sprintf("\n    %v", err)
		}
		var rows []string
		for _, d := range destinations {
			rows = append(rows, fmt.Sprintf("\n    af %d %v:%d weight %d flags %#x thresholds %d %d active %d inactive %d stats %+v", d.AddressFamily, d.Address,
				d.Port, d.Weight, d.ConnectionFlags, d.UpperThreshold, d.LowerThreshold, d.ActiveConnections, d.InactiveConnections, d.Stats))
		}
		sort.Strings(rows)
		for _, row := range rows {
			text += row
		}
		lines = append(lines, text)
	}
	sort.Strings(lines)
	for _, line := range lines {
		fmt.Println(line)
	}
}

func main() {
	handle, err := ipvs.New("")
	said("New", err)
	if err != nil {
		return
	}
	defer handle.Close()
	said("Flush", handle.Flush())
	list(handle)

	web := service("10.0.0.100", unix.IPPROTO_TCP, 80, "rr")
	said("IsServicePresent", map[bool]error{true: nil, false: fmt.Errorf("no")}[handle.IsServicePresent(web)])
	for _, s := range []*ipvs.Service{
		web, web,
		service("10.0.0.100", unix.IPPROTO_UDP, 53, "sh"),
		service("10.0.0.100", unix.IPPROTO_SCTP, 9, "wlc"),
		service("2001:db8::100", unix.IPPROTO_TCP, 80, "mh"),
		marked(7, unix.AF_INET), marked(0x80000000, unix.AF_INET),
		service("10.0.0.101", unix.IPPROTO_TCP, 80, "nosuch"),
		service("10.0.0.102", 99, 80, "rr"),
		service("10.0.0.103", unix.IPPROTO_TCP, 80, ""),
	} {
		said(fmt.Sprintf("NewService %v:%d mark %d %s", s.Address, s.Port, s.FWMark, s.SchedName), handle.NewService(s))
	}
	said("IsServicePresent", map[bool]error{true: nil, false: fmt.Errorf("no")}[handle.IsServicePresent(web)])

	masquerading := server("10.0.0.11", 8080, 3, ipvs.ConnectionFlagMasq)
	masquerading.UpperThreshold, masquerading.LowerThreshold = 10, 5
	for _, d := range []*ipvs.Destination{
		masquerading, masquerading,
		server("10.0.0.12", 80, 0, ipvs.ConnectionFlagDirectRoute),
		server("10.0.0.13", 80, 1, ipvs.ConnectionFlagTunnel),
		server("10.0.0.14", 80, -1, ipvs.ConnectionFlagMasq),
		server("224.0.0.1", 80, 1, ipvs.ConnectionFlagMasq),
		server("10.0.0.15", 80, 2147483647, ipvs.ConnectionFlagMasq),
		server("2001:db8::11", 80, 1, ipvs.ConnectionFlagMasq),
		server("2001:db8::12", 80, 1, ipvs.ConnectionFlagTunnel),
	} {
		said(fmt.Sprintf("NewDestination %v:%d weight %d flags %#x", d.Address, d.Port, d.Weight, d.ConnectionFlags), handle.NewDestination(web, d))
	}
	said("NewDestination of no service", handle.NewDestination(service("10.9.9.9", unix.IPPROTO_TCP, 1, "rr"), masquerading))
	list(handle)

	web.SchedName, web.Flags, web.Timeout, web.Netmask = "wlc", 1, 600, 0x00ffffff
	said("UpdateService", handle.UpdateService(web))
	web.SchedName = "nosuch"
	said("UpdateService to an unknown scheduler", handle.UpdateService(web))
	said("UpdateService of no service", handle.UpdateService(service("10.9.9.9", unix.IPPROTO_TCP, 1, "rr")))
	masquerading.Weight, masquerading.UpperThreshold, masquerading.LowerThreshold = 7, 5, 6
	said("UpdateDestination with crossed thresholds", handle.UpdateDestination(web, masquerading))
	masquerading.LowerThreshold = 2
	said("UpdateDestination", handle.UpdateDestination(web, masquerading))
	said("UpdateDestination of no server", handle.UpdateDestination(web, server("10.0.0.99", 80, 1, 0)))
	said("DelDestination", handle.DelDestination(web, server("10.0.0.12", 80, 0, 0)))
	said("DelDestination again", handle.DelDestination(web, server("10.0.0.12", 80, 0, 0)))
	list(handle)
	found, err := handle.GetService(web)
	said("GetService", err)
	if err == nil {
		fmt.Println("  " + show(found))
	}
	_, err = handle.GetService(service("10.9.9.9", unix.IPPROTO_TCP, 1, "rr"))
	said("GetService of none", err)
	destinations, err := handle.GetDestinations(service("10.9.9.9", unix.IPPROTO_TCP, 1, "rr"))
	said(fmt.Sprintf("GetDestinations of none: %d", len(destinations)), err)

	config, err := handle.GetConfig()
	said(fmt.Sprintf("GetConfig %+v", config), err)
	said("SetConfig", handle.SetConfig(&ipvs.Config{TimeoutTCP: time.Hour, TimeoutUDP: 7 * time.Second}))
	config, err = handle.GetConfig()
	said(fmt.Sprintf("GetConfig %+v", config), err)
	said("SetConfig back", handle.SetConfig(&ipvs.Config{TimeoutTCP: 900 * time.Second, TimeoutUDP: 300 * time.Second}))

	said("DelService", handle.DelService(web))
	said("DelService again", handle.DelService(web))
	said("Flush", handle.Flush())

	// Many at once: threads, a socket each, the runtime's signals and its network poller.
	var crowd sync.WaitGroup
	failures := make(chan error, 1000)
	for worker := 0; worker < 8; worker++ {
		crowd.Add(1)
		go func(worker int) {
			defer crowd.Done()
			own, err := ipvs.New("")
			if err != nil {
				failures <- err
				return
			}
			defer own.Close()
			for port := 1; port <= 50; port++ {
				s := service(fmt.Sprintf("10.1.%d.1", worker), unix.IPPROTO_TCP, uint16(port), "rr")
				if err := own.NewService(s); err != nil {
					failures <- err
				}
				if err := own.NewDestination(s, server("10.0.0.11", 80, port, 0)); err != nil {
					failures <- err
				}
				if found, err := own.GetDestinations(s); err != nil || len(found) != 1 || found[0].Weight != port {
					failures <- fmt.Errorf("service %d of worker %d has %v, %v", port, worker, found, err)
				}
			}
		}(worker)
	}
	crowd.Wait()
	close(failures)
	for err := range failures {
		fmt.Println("a worker:", err)
	}
	services, err := handle.GetServices()
	said(fmt.Sprintf("GetServices: %d", len(services)), err)
	said("Flush", handle.Flush())
}
