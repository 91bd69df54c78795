//! The texts of `-h`, `-v` and `--help-ipvsd`.

/// What `ipvsadm -h` prints: the interface text of ipvsadm 1.31, to the byte.
pub(super) const HELP: &str = include_str!("help.txt");

/// What `ipvsadm -v` prints.
pub(super) const VERSION: &str = include_str!("version.txt");

/// What an unknown first option gets.
pub(super) const TRY_HELP: &str = "Try `ipvsadm -h' or 'ipvsadm --help' for more information.";

/// What `ipvsadm --help-ipvsd` prints: what is ours alone.
pub(super) const HELP_IPVSD: &str = "\
ipvsadm for ipvsd: as ipvsadm 1.31 (see ipvsadm -h), and besides
  --socket path       control socket of the daemon; also the environment variable IPVSD_SOCKET
                      (default /run/ipvsd.sock). May stand before the command.
  --helper name       with -A and -E: who reads the service's connections for others that they tell of, through servers
                      by masquerading and full NAT: ftp (TCP; of itself at port 21), tftp (UDP; of itself at
                      port 69), or none. It is listed and saved if it was given.
  --full-nat          with -a and -e, a packet-forwarding method: masquerading that replaces the client's address too, by one of a
                      pool; so servers need no route to this host, and see no client addresses, unless with
                      --proxy-protocol. Listed as FullNat.
  --local-pool name   with --full-nat: the pool, which `ipvsd pool add` makes
  --local             with -L -c: the addresses and ports too that servers of full NAT see as their clients'
  --proxy-protocol    with -a and -e, and -m or --full-nat: the server is told each client's address by a PROXY
                      protocol header (version 2) ahead of what the client sends over TCP. The server must expect it, as nginx with
                      `listen ... proxy_protocol'. New connections have it from then on; it stays when the server
                      is edited without it. It is shown by -L --json and saved.
  --no-proxy-protocol with -a and -e: no such header, for new connections
  --json              with -L: services with their destinations, timeouts or connections as JSON
  --drops             with -L: how many packets were dropped since the daemon started, by reason; with --json
                      all reasons, those too for which none was
  --help-ipvsd        display this text
Sync daemons and the tools' kernel module loading have no counterpart here.
";
