# Saving and restoring, with lines that the kernel refuses and lines that ipvsadm refuses.
commands <<'LINES'
ipvsadm -A -t 10.0.0.100:80 -s wlc
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.11:80 -m -w 3 -x 100 -y 50
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.12:8080 -m -w 0
ipvsadm -a -t 10.0.0.100:80 -r 10.0.0.13:80 -g
ipvsadm -A -t 10.0.0.100:443 -s wrr -p 600 -M 255.255.255.0
ipvsadm -a -t 10.0.0.100:443 -r 10.0.0.14:443 -i
ipvsadm -A -u 10.0.0.100:53 -s rr -o
ipvsadm -A --sctp-service 10.0.0.100:9899 -s lc
ipvsadm -A -t [2001:db8::100]:80 -s sed -p 300 -M 64
ipvsadm -a -t [2001:db8::100]:80 -r [2001:db8::11]:8080 -m -w 65535
ipvsadm -A -f 42 -s rr -p
ipvsadm -a -f 42 -r 10.0.0.11 -g
ipvsadm -A -f 43 -6 -s nq
ipvsadm -a -f 43 -6 -r [2001:db8::11] -m
ipvsadm -Sn
ipvsadm -S -n
ipvsadm --save --numeric
ipvsadm -Sn -t 10.0.0.100:80
f=$(mktemp); ipvsadm -Sn > $f; ipvsadm -C; ipvsadm -R < $f; ipvsadm -Sn | diff $f - && echo same; rm $f
ipvsadm -Ln

# over what is there: refused lines are named, the rest goes on, the last decides
ipvsadm -Sn | ipvsadm -R
ipvsadm -C
printf -- '-A -t 10.0.0.100:80 -s rr\n-a -t 10.0.0.100:80 -r 10.0.0.11:80 -m -w 1\n' | ipvsadm -R
printf -- '-A -t 10.0.0.100:80 -s rr\n-A -t 10.0.0.100:81 -s rr\n' | ipvsadm -R
printf -- '-A -t 10.0.0.100:82 -s rr\n-A -t 10.0.0.100:82 -s rr\n' | ipvsadm -R
printf -- 'ipvsadm -A -t 10.0.0.100:83 -s rr\n\n   \n  -a   -t 10.0.0.100:83  -r 10.0.0.11:80 -m\n' | ipvsadm -R
printf -- '-A -t 10.0.0.100:84 -s rr' | ipvsadm -R
printf -- '-A -t 10.0.0.100:85 -s nosuch\n-A -t 10.0.0.100:86 -s rr\n' | ipvsadm --restore
printf -- '-A -t 10.0.0.100:87\n-A -s rr\n-A -t 10.0.0.100:88 -s rr\n' | ipvsadm -R
printf -- '# comment\n-A -t 10.0.0.100:89 -s rr\n' | ipvsadm -R
printf -- 'bogus\n-A -t 10.0.0.100:90 -s rr\n' | ipvsadm -R
printf -- '-D -t 10.0.0.100:80\n-E -t 10.0.0.100:81 -s wlc\n-Z\n' | ipvsadm -R
printf -- '' | ipvsadm -R
ipvsadm -Sn
ipvsadm -R -t 10.0.0.100:80
ipvsadm -C
ipvsadm -Sn
LINES
