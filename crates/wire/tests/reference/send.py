import socket,struct,sys,time
def cs(b):
    if len(b)%2: b+=b'\0'
    s=sum(struct.unpack('>%dH'%(len(b)//2),b))
    while s>>16: s=(s&0xffff)+(s>>16)
    return (~s)&0xffff
V='10.0.1.100'; C='10.0.1.2'; V6='2001:db8:1::100'; C6='2001:db8:1::2'
def udp(src,dst,sp,dp,data,v6=False,zero=False):
    l=8+len(data); a=socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET,src)+socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET,dst)
    ph=a+(struct.pack('>IHBB',l,0,0,17) if v6 else struct.pack('>BBH',0,17,l))
    h=struct.pack('>HHHH',sp,dp,l,0); c=cs(ph+h+data) or 0xffff
    return struct.pack('>HHHH',sp,dp,l,0 if zero else c)+data
def ip4(pl,tos=0,ttl=64,df=0,id=0x1234,opts=b'',src=C,dst=V,proto=17,fl=0):
    h=struct.pack('>BBHHHBBH4s4s',0x45+len(opts)//4,tos,20+len(opts)+len(pl),id,df<<14|fl,ttl,proto,0,socket.inet_aton(src),socket.inet_aton(dst))+opts
    c=cs(h); return h[:10]+struct.pack('>H',c)+h[12:]+pl
def ip6(pl,tc=0,fl=0,hl=64,nh=17,src=C6,dst=V6):
    return struct.pack('>IHBB',6<<28|tc<<20|fl,len(pl),nh,hl)+socket.inet_pton(socket.AF_INET6,src)+socket.inet_pton(socket.AF_INET6,dst)+pl
s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW); s.bind(('eth0',0))
def send(p):
    s.send(bytes.fromhex('020000000101020000000102')+(b'\x86\xdd' if p[0]>>4==6 else b'\x08\x00')+p); time.sleep(.15)
exec(open(sys.argv[1]).read())
