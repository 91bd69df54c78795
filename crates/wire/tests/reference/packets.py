D=bytes(range(256))*5
send(ip4(udp(C,V,1111,81,D),tos=0x3d,ttl=33))           # no dest: port unreachable
send(ip4(udp(C,V,1111,81,D[:10]),tos=0x02,ttl=33,df=1))
send(ip6(udp(C6,V6,1111,81,D,True),tc=0x3d,fl=0x12345,hl=33))
send(ip4(udp(C,V,1112,80,D[:100]),tos=0x10,ttl=1))       # ttl
send(ip4(udp(C,V,1112,80,D[:100]),tos=0x10,ttl=2))
send(ip6(udp(C6,V6,1112,80,D[:100],True),tc=0x10,hl=1))
send(ip4(udp(C,V,1113,82,D),tos=0x10,df=1))       # frag needed (82: via route mtu 1000)
send(ip4(udp(C,V,1113,82,D),tos=0x10))           # fragmented
# with router alert (copied) and timestamp (not copied) options
send(ip4(udp(C,V,1114,82,D),tos=0x10,df=0,opts=bytes.fromhex('94040000' '440c0500' '0000000000000000')))
send(ip6(udp(C6,V6,1113,82,D,True)))
send(ip4(udp(C,V,1115,83,D[:64]),tos=0x04))       # rs refuses: icmp back
send(ip4(udp(C,V,1115,83,D[:900]),tos=0x04))       # quote truncated
send(ip6(udp(C6,V6,1115,83,D[:64],True)))
send(ip6(udp(C6,V6,1116,80,D[:32],True,True)))    # zero checksum v6
send(ip4(udp(C,V,1116,80,D[:32],zero=True)))
send(ip4(b'\x08\0'+struct.pack('>HHH',cs(b'\x08\0\0\0\0\x07\0\x09'+D[:32]),7,9)+D[:32],proto=1,tos=0x1f,df=1,ttl=9)) # echo
ee=b'\x08\0'+struct.pack('>HHH',cs(b'\x08\0\0\0\0\x07\0\x09'+D[:32]),7,9)+D[:32]
send(ip4(ee,proto=1,opts=bytes.fromhex('0707040000000000')))  # echo with record route
send(ip4(ee[:-1]+b'\0',proto=1))  # echo with bad checksum
