/* Firm answers under rules M and F of docs/protocol.md: the roll, stable clocks, seals, restored disks, goodbyes. One job.

   What is modelled. A broker's replica is its vector clock: an exchange is atomic, and what a broker holds is a function of
   the dots that it covers. "i pulls from j" joins j's clock and record into i's, and notes what j told: agreed_i(j), and
   whether j's stable clock covers the verdict that decides. A link that is cut is a pull that does not happen. Anybody who
   knows the job and no verdict may write one (more than ownership allows). Wall clocks are arbitrary: verdicts are ordered
   by a fixed order of their writers (RANK). Messages that come late are pulls that come early, except those of an
   incarnation that is gone (GHOST).

   Names 0, 1, 2 are in the roll from the start, 3 may join. Actors 0 to 3 are their first starts, 4 and 5 the second
   starts of 0 and 1, from a copy of the disk.

   Property: no two different firm answers, ever.

   Flags: the rule
     LATE=2      a stable verdict is sealed as another comes in; the seal decides (F2).  0: the earliest verdict decides.
                 1: a late mark on each verdict (NODOT: a mark that is no update)
     FIRM=k      a verdict is firm when k of the others have told it as stable (W = k+1);  ALL: every member of the roll
     TELLD       what is told as stable is the verdict that decides there, with its seal
     OUTQUIET    who is not in its own roll shows nothing as firm and seals nothing (H6)
     MEET        a request of a new actor voids what its old actor told (H8)
     SEALC       seals merge by: more closes known to who sealed, the earlier verdict, the lower dot; who meets another one
                 sealed than is stable here, with fewer closes known, seals its own
     SEALV       openings count for that, too (not needed)
     VIEW        a told clock, and what was told as stable, count only if that clock covers every member record known here
     SVOID       who opens again after a close begins with an empty stable clock and no agreed clocks
     BLOCK       who learns that it is closed takes nothing in until it is open again and all others have told that they
                 cover the opening
     NOFROM      nothing is taken from a name that is closed here and has not opened again
   Flags: what happens
     ROLLBACK, ROLLBACK2  the disk of 0, of 1 too, is replaced by a copy;  WIPE: by an empty one;  GHOST: a late message
     CLOSE       an operator closes a name at some broker;  CX=mask: which names;  LEARN: the closed one learns it, and opens again
     CLOSE2      an operator closes another name, for good, anywhere
     GOODBYE     name 2 closes itself;  BYES: when W others hold what it holds, and as stable;  BYEANY: at any time
     JOIN        a fourth joins;  NOADM, LOOSEADM: without M3, or admitted by who is not admitted
     FORG=4      finished records are forgotten when all have told them as stable (F3);  1 to 3: drafts that were broken
     VM=mask     which actors may write a verdict
     RANK=p      which writer's verdict is the earliest: 1: the second starts'; 0: those of the first starts */
#ifndef LATE
#define LATE 1
#endif
#ifndef FORG
#define FORG 0
#endif
#ifndef FIRM
#define FIRM 0
#endif
#ifndef RANK
#define RANK 1
#endif
#ifndef VM
#define VM 63
#endif
#ifndef CX
#define CX 15
#endif
#define NONE 255
byte C[24];            /* i*6+a */
byte AG[96];           /* (i*4+m)*6+a : agreed clocks */
byte S[24];
byte T[16];            /* i*4+m: verdicts (mask by actor) that m's told S covers */
byte met[4];           /* mask of second actors (bit 0: actor 4, bit 1: actor 5) that i has met */
byte L[4];             /* late flags, by actor; LATE=2: 1+actor of the sealed verdict, 0 none */
byte QA[4]; byte QN[4];    /* the seal's dot */
byte QC[4];            /* SEALC: closes known to who made the seal */
byte K[4];             /* the verdicts that i's record holds (with forgetting, less than its clock covers) */
byte fg;               /* mask of who has forgotten the record */
byte vd[6];            /* counter of the actor's verdict, 0 none */
byte act[4];
byte on;               /* mask of brokers that are there */
byte adm;              /* mask of admitted */
byte job;              /* mask of who knows the job */
byte clX=NONE; byte clA; byte clN;   /* the close: of X, dot A:N */
byte c2X=NONE; byte c2A; byte c2N;   /* CLOSE2: the second close, which is for good */
byte reN;              /* X's own re-opening: dot act[X]:N, actor reA */
byte reA;
byte oC[12]; byte oS[12]; byte oL[2]; byte oQA[2]; byte oQN[2]; byte oQC[2]; byte oK[2]; byte ofg; byte saved; byte rolled;   /* saved disks of 0 and 1 */
byte gC[12]; byte gL[2]; byte gQA[2]; byte gQN[2]; byte gQC[2]; byte gK[2];             /* ghosts */
byte cov;              /* BLOCK: who has told the re-opened that it covers the opening */
byte firm=NONE; byte bad;
#ifdef SURV
byte wit;              /* who has the firm verdict as stable, as told when it was shown, and was not rolled back since */
#endif

c_code {
static const unsigned char RK[4][6] = {{0,1,2,3,4,5},{5,4,3,2,1,0},{2,3,4,1,0,5},{3,4,5,0,1,2}};
#define Cc(i) (now.C+(i)*6)
#define Ag(i,m) (now.AG+((i)*4+(m))*6)
#define Ss(i) (now.S+(i)*6)
#ifdef TRACE
#define SAY(...) if(getenv("TRC")) printf(__VA_ARGS__)
#else
#define SAY(...)
#endif
static int name(int a){ return a<4?a:a-4; }
static int has(unsigned char*c,int a){ return now.vd[a] && c[a]>=now.vd[a]; }
static int ended(int i){ return now.K[i]!=0 || now.L[i]==7 && LATE==2 || (now.fg>>i&1); }
static int closed(unsigned char*c,int x){ /* in the eyes of a clock */
  if(now.c2X==x && c[now.c2A]>=now.c2N) return 1;
  return now.clX==x && c[now.clA]>=now.clN && !(now.reN && c[now.reA]>=now.reN); }
static int roll(int i,int m){
  unsigned char*c=Cc(i);
  if(m==3) { if(c[3]<1) return 0; }
#ifdef WIPE
  if((now.rolled&1) && i==0 && !(now.job&1)) return m==0;
#endif
  return !closed(c,m); }
static int decider(int i){ int a,b=255;
  if(LATE==2 && now.L[i]) return now.L[i]==7 ? 255 : now.L[i]-1;
  for(a=0;a<6;a++) if((now.K[i]>>a&1) && !(LATE==1 && (now.L[i]>>a&1)) && (b==255||RK[RANK][a]<RK[RANK][b])) b=a;
  return b; }
static int view(int i,unsigned char*c){ /* VIEW: c covers every member record that i knows */
#ifdef VIEW
  if(now.clX<4 && Cc(i)[now.clA]>=now.clN && c[now.clA]<now.clN) return 0;
  if(now.c2X<4 && Cc(i)[now.c2A]>=now.c2N && c[now.c2A]<now.c2N) return 0;
  if(now.reN && Cc(i)[now.reA]>=now.reN && c[now.reA]<now.reN) return 0;
  if(Cc(i)[3]>=1 && c[3]<1) return 0;
#endif
  return 1; }
/* what i tells beside its clock: with -DTELLD the stable verdict that decides there (S, and the seal's dot), else S alone */
static int smask(int i){ int a,m=0;
#ifdef TELLD
  a=decider(i); return a!=255&&has(Ss(i),a) ? 1<<a : 0;
#endif
  for(a=0;a<6;a++) if(has(Ss(i),a)) m|=1<<a; return m; }
static void settle(int i){ /* F1, then what i would answer */
  int a,m,n,d; unsigned char s[6]; memcpy(s,Cc(i),6);
  for(m=0;m<4;m++) if(m!=i && roll(i,m)) { if(!view(i,Ag(i,m))) memset(s,0,6); for(a=0;a<6;a++) if(Ag(i,m)[a]<s[a]) s[a]=Ag(i,m)[a]; }
  for(a=0;a<6;a++) if(s[a]>Ss(i)[a]) Ss(i)[a]=s[a];
  d=decider(i);
#ifdef NODEC
  if(d==255 && ended(i)) now.bad=2;
#endif
  if(d==255 || (now.fg>>i&1) || !has(Ss(i),d)) return;
  if(LATE==2 && now.L[i] && Ss(i)[now.QA[i]]<now.QN[i]) return;   /* a sealed one: S must cover the seal, too */
#ifdef OUTQUIET
  if(!roll(i,i)) return;   /* who knows that it is not in the roll shows nothing as firm */
#endif
#ifdef ALL
  for(m=0;m<4;m++) if(m!=i && roll(i,m) && !((now.T[i*4+m]>>d&1) && view(i,Ag(i,m)))) return;
#else
  n=0; for(m=0;m<4;m++) if(m!=i && roll(i,m) && (now.T[i*4+m]>>d&1) && view(i,Ag(i,m))) n++;
  if(n<FIRM) return;
#endif
  SAY("      b%d shows the verdict of actor %d as firm\n",i,d);
#ifdef SURV
  n=1<<i; for(m=0;m<4;m++) if(m!=i && (now.T[i*4+m]>>d&1) && (m>1 || !(now.rolled>>m&1) || (now.met[i]>>m&1))) n|=1<<m;
  if(now.firm==255 || now.firm==d) now.wit|=n;
  else if(!(now.wit & ~(now.clX<4 ? 1<<now.clX : 0))) { SAY("      (nobody is left of those who made the first firm)\n"); now.firm=d; now.wit=n; return; }
#endif
  if(now.firm==255) now.firm=d; else if(now.firm!=d) now.bad=1;
}
static void up(int i){ Cc(i)[now.act[i]]++; }
static int closes(int i){ /* closes that i's clock covers (monotone: a re-opening does not take one back) */
#ifdef SEALC
  return (now.clX<4 && Cc(i)[now.clA]>=now.clN) + (now.c2X<4 && Cc(i)[now.c2A]>=now.c2N)
#ifdef SEALV   /* openings count, too */
    + (now.reN && Cc(i)[now.reA]>=now.reN)
#endif
    ;
#endif
  return 0; }
static void seal(int i,int l){ SAY("      b%d seals the verdict of actor %d\n",i,l-1); up(i); now.QC[i]=closes(i); now.L[i]=l; now.QA[i]=now.act[i]; now.QN[i]=Cc(i)[now.act[i]]; }
static int better(int l,int m){ if(l==m) return 0; if(!m) return 1; if(l==7) return 0; if(m==7) return 1; return RK[RANK][l-1]<RK[RANK][m-1]; }
/* SEALC: merge of seals: more closes known, the earlier verdict, the lower dot */
static int sealwins(int l,int qa,int qn,int qc,int i){
  if(!l) return 0; if(!now.L[i]) return 1;
  if(qc!=now.QC[i]) return qc>now.QC[i];
  if(l!=now.L[i]) return better(l,now.L[i]);
  return qa<now.QA[i] || (qa==now.QA[i] && qn<now.QN[i]); }
/* k: the verdicts of the other's record; rec: it has the record; l,qa,qn: its flags, or seal and the seal's dot */
static void merge(int i,unsigned char*c,int k,int rec,int l,int qa,int qn,int qc){
  int a,d=255,fresh=0,stable,other=0; unsigned char was[6]; memcpy(was,Cc(i),6);
  for(a=0;a<6;a++) if((now.K[i]>>a&1) && has(Ss(i),a) && (LATE==2||!(now.L[i]>>a&1))) d=a; /* a stable one is known */
  stable = d!=255; d=decider(i);
  fresh = k & ~now.K[i];
  for(a=0;a<6;a++) if(c[a]>was[a]) Cc(i)[a]=c[a];
  if(now.fg>>i&1) {                 /* L7: absent, created under S: not taken */
#if FORG==2 || FORG==3
    int news=0; for(a=0;a<6;a++) if((k>>a&1)&&!has(was,a)) news=1;
    if(l && l!=7 && LATE==2) ;      /* sealed already */
    else if(rec && (news || !k) && !now.L[i] && !l) seal(i,7);   /* the mend: 'over' is an update */
    if(l && better(l,now.L[i])) { now.L[i]=l; now.QA[i]=qa; now.QN[i]=qn; }
#endif
    return;
  }
  now.K[i]|=k;
#ifdef NODOT
  if(!fresh) l=0;
#endif
#if LATE==1
  now.L[i]|=l;
  if(stable) for(a=0;a<6;a++) if((fresh>>a&1) && !has(Ss(i),a)) now.L[i]|=1<<a;
#elif LATE==2
#ifdef SEALC   /* H9: sealed there is another than the one stable here, with fewer closes known than here */
  if(l && d!=255 && l!=d+1 && has(Ss(i),d) && qc<closes(i) && !(now.L[i]==d+1 && now.QC[i]==closes(i))) other=1;
#endif
  if(sealwins(l,qa,qn,qc,i)) { now.L[i]=l; now.QA[i]=qa; now.QN[i]=qn; now.QC[i]=qc; }
#ifdef OUTQUIET
  if(!roll(i,i)) fresh=other=0;      /* nor seals anything */
#endif
  if(other || fresh && d!=255 && has(Ss(i),d) && !now.L[i]) seal(i,d+1);
#endif
}
static int differs(int i,int j){ int a; for(a=0;a<6;a++) if(Ag(i,j)[a]!=Cc(j)[a]||Cc(i)[a]<Cc(j)[a]) return 1;
  return now.L[i]!=now.L[j] || now.QA[i]!=now.QA[j] || now.QN[i]!=now.QN[j] || now.QC[i]!=now.QC[j] || (now.K[j]&~now.K[i]) || now.T[i*4+j]!=smask(j) || (!(now.job>>i&1)&&(now.job>>j&1)); }
static int canpull(int ij){ int i=ij>>2, j=ij&3;
#ifdef GOODBYE
  if(i==2 && now.clX==2) return 0;   /* who has said goodbye takes nothing in */
#endif
#ifdef BLOCK
  { int others=7&~(1<<i), m; for(m=0;m<3;m++) if(now.c2X==m && closed(Cc(i),m)) others&=~(1<<m);
    if(closed(Cc(i),i) || now.clX==i && now.reN && (now.cov&others)!=others) return 0; }
#endif
#ifdef NOFROM   /* nothing is taken from who is closed here and has not opened again */
  if(closed(Cc(i),j) && (now.c2X==j || !(now.reN && Cc(j)[now.reA]>=now.reN))) return 0;
#endif
  return (now.on>>i&1)&&(now.on>>j&1)&&differs(i,j); }
static int canask(int m){ return now.reN && m!=now.clX && !(now.cov>>m&1) && Cc(m)[now.reA]>=now.reN; }
int act_of(int j);
static void pull(int i,int j){
  SAY("b%d pulls from b%d\n",i,j);
#ifdef MEET   /* X3: a request names its actor: who is asked by a new one drops what the old one told */
  if(act_of(i)>=4 && !(now.met[j]>>(act_of(i)-4)&1)) { now.met[j]|=1<<(act_of(i)-4); memset(Ag(j,i),0,6); now.T[j*4+i]=0; }
#endif
  if(act_of(j)>=4) now.met[i]|=1<<(act_of(j)-4);
  { int f=now.fg>>j&1;
  merge(i,Cc(j),now.K[j],(now.job>>j&1)&&!f,now.L[j],now.QA[j],now.QN[j],now.QC[j]);
#if FORG==1 || FORG>=3
  if(f && !(now.fg>>i&1) && (now.job>>i&1)) { int a,ok=1;     /* F3 as drafted: dropped when S covers the record's dots */
    for(a=0;a<6;a++) if((now.K[i]>>a&1)&&!has(Ss(i),a)) ok=0;
    if(ok) { now.fg|=1<<i; now.K[i]=0; now.L[i]=0; }
#if FORG==3
    else if(!now.L[i]) seal(i,7);    /* disputed: over, as an update */
#endif
  }
#endif
  }
  if(now.job>>j&1) now.job|=1<<i;
  memcpy(Ag(i,j),Cc(j),6); now.T[i*4+j]=smask(j);
#ifdef JOIN
#ifdef LOOSEADM
  if(i==3 && Cc(j)[3]>=1) now.adm|=8;
#else
  if(i==3 && Cc(j)[3]>=1 && (now.adm>>j&1) && !closed(Cc(j),j)) now.adm|=8;
#endif
#endif
#ifdef LEARN
  if(now.clX<4 && (now.on>>now.clX&1)) {
    int x=now.clX;
    if(closed(Cc(x),x)) now.adm&=~(1<<x);
    if(i==x && now.reN && Cc(j)[now.reA]>=now.reN && (now.adm>>j&1) && !closed(Cc(j),j)) now.adm|=1<<x;
  }
#endif
  settle(i); }
}
c_code { int act_of(int j){ return now.act[j]; } }
c_code {
static void save(int k){ memcpy(now.oC+k*6,Cc(k),6); memcpy(now.oS+k*6,Ss(k),6); now.oL[k]=now.L[k]; now.oQA[k]=now.QA[k]; now.oQN[k]=now.QN[k]; now.oQC[k]=now.QC[k]; now.oK[k]=now.K[k]; now.ofg=(now.ofg&~(1<<k))|(now.fg&(1<<k)); now.saved|=1<<k; }
static void back(int k){ int m;
  memcpy(now.gC+k*6,Cc(k),6); now.gL[k]=now.L[k]; now.gQA[k]=now.QA[k]; now.gQN[k]=now.QN[k]; now.gQC[k]=now.QC[k]; now.gK[k]=now.K[k];
#ifdef WIPE
  memset(Cc(k),0,6); memset(Ss(k),0,6); now.L[k]=0; now.QA[k]=now.QN[k]=now.QC[k]=0; now.K[k]=0; now.fg&=~(1<<k); now.job&=~(1<<k);
#else
  memcpy(Cc(k),now.oC+k*6,6); memcpy(Ss(k),now.oS+k*6,6); now.L[k]=now.oL[k]; now.QA[k]=now.oQA[k]; now.QN[k]=now.oQN[k]; now.QC[k]=now.oQC[k]; now.K[k]=now.oK[k]; now.fg=(now.fg&~(1<<k))|(now.ofg&(1<<k));
#endif
  for(m=0;m<4;m++){ memset(Ag(k,m),0,6); now.T[k*4+m]=0; }
#ifdef SURV
  now.wit&=~(1<<k);
#endif
  now.act[k]=4+k; now.rolled|=1<<k; memset(now.oC+k*6,0,6); memset(now.oS+k*6,0,6); now.oL[k]=now.oQA[k]=now.oQN[k]=now.oQC[k]=now.oK[k]=0; now.ofg&=~(1<<k); now.saved&=~(1<<k); }
/* spin refuses a comma in c_expr, hence one argument */
static int canghost(int ik){ int i=ik>>2,k=ik&3; return (now.rolled>>k&1)&&i!=k&&(now.on>>i&1)&&!(now.met[i]>>k&1)&&memcmp(Ag(i,k),now.gC+k*6,6); }
static int canclose(int ix){ int i=ix>>2,x=ix&3; return now.clX==255&&(CX>>x&1)&&(now.on>>i&1)&&(now.adm>>i&1)&&roll(i,x); }
static int canclose2(int ix){ int i=ix>>2,x=ix&3; return now.c2X==255&&now.clX!=x&&(now.on>>i&1)&&(now.adm>>i&1)&&roll(i,x)&&roll(i,i); }
static int canforget(int i){ int a,d=decider(i); if((now.fg>>i&1)||d==255||!has(Ss(i),d)) return 0; if(now.L[i]&&Ss(i)[now.QA[i]]<now.QN[i]) return 0; for(a=0;a<6;a++) if((now.K[i]>>a&1)&&!has(Ss(i),a)) return 0;
#if FORG>=3
  for(a=0;a<4;a++) if(a!=i && roll(i,a) && !((now.T[i*4+a]>>d&1) && view(i,Ag(i,a)))) return 0;   /* every member has told that it is stable there, too */
#endif
  return 1; }
static int canreopen(int z){ return now.clX<4 && !now.reN && closed(Cc(now.clX),now.clX); }
static int canbye(int z){
#ifdef BYES
  { int n=0,m,a; for(m=0;m<4;m++) if(m!=2&&roll(2,m)) { int ok=1; for(a=0;a<6;a++) if(Ag(2,m)[a]<Cc(2)[a]) ok=0;
    if(has(Ss(2),decider(2)&7) && decider(2)!=255 && !(now.T[2*4+m]>>decider(2)&1)) ok=0; n+=ok; }
    return now.clX==255 && n>FIRM; }   /* W others hold all that it holds, and as stable */
#endif

#ifdef BYEANY
  return now.clX==255;   /* its last update carries all before it: no need to wait */
#endif
  return now.clX==255 && Ag(2,0)[2]>=Cc(2)[2] && Ag(2,1)[2]>=Cc(2)[2] && (!roll(2,3)||Ag(2,3)[2]>=Cc(2)[2]); }
}
#define PULL(i,j) :: d_step { c_expr { (canpull(i*4+j)) } -> c_code { pull(i,j); }; assert(!bad) }
#define VERD(i) :: d_step { c_expr { (now.on>>i&1)&&(now.adm>>i&1)&&(now.job>>i&1)&&!ended(i)&&!now.vd[now.act[i]]&&(VM>>now.act[i]&1) } -> \
     c_code { SAY("b%d (actor %d) writes its verdict\n",i,now.act[i]); up(i); now.vd[now.act[i]]=Cc(i)[now.act[i]]; now.K[i]|=1<<now.act[i]; settle(i); }; assert(!bad) }
#define GHO(i,k) :: d_step { c_expr { (canghost(i*4+k)) } -> \
     c_code { SAY("a ghost of b%d reaches b%d\n",k,i); merge(i,now.gC+k*6,now.gK[k],1,now.gL[k],now.gQA[k],now.gQN[k],now.gQC[k]); memcpy(Ag(i,k),now.gC+k*6,6); settle(i); }; assert(!bad) }
#define CLO(i,x) :: d_step { c_expr { (canclose(i*4+x)) } -> \
     c_code { SAY("operator at b%d forgets b%d\n",i,x); up(i); now.clX=x; now.clA=now.act[i]; now.clN=Cc(i)[now.act[i]]; settle(i); }; assert(!bad) }

#define CLO2(i,x) :: d_step { c_expr { (canclose2(i*4+x)) } -> \
     c_code { SAY("another operator, at b%d, forgets b%d\n",i,x); up(i); now.c2X=x; now.c2A=now.act[i]; now.c2N=Cc(i)[now.act[i]]; settle(i); }; assert(!bad) }
#define FGT(i) :: d_step { c_expr { (canforget(i)) } -> c_code { SAY("b%d forgets\n",i); now.fg|=1<<i; now.K[i]=0; now.L[i]=now.QA[i]=now.QN[i]=now.QC[i]=0; } }

active proctype World() {
  d_step { act[0]=0; act[1]=1; act[2]=2; act[3]=3; on=7; adm=7; job=7 }
end:
  do
  PULL(0,1) PULL(0,2) PULL(1,0) PULL(1,2) PULL(2,0) PULL(2,1)
  VERD(0) VERD(1) VERD(2)
#if FORG>0
  FGT(0) FGT(1) FGT(2)
#endif
#ifdef JOIN
  PULL(0,3) PULL(1,3) PULL(2,3) PULL(3,0) PULL(3,1) PULL(3,2)
  VERD(3)
  :: d_step { c_expr { !(now.on&8) } -> c_code { SAY("b3 starts\n"); now.on|=8; Cc(3)[3]=1;
#ifdef NOADM
     now.adm|=8;
#endif
     settle(3); }; assert(!bad) }
#endif
#ifdef CLOSE
  CLO(0,1) CLO(1,0) CLO(0,2) CLO(2,0) CLO(1,2) CLO(2,1)
#ifdef JOIN
  CLO(0,3) CLO(3,0)
#endif
#ifdef BLOCK
  :: d_step { c_expr { (canask(0)) } -> c_code { SAY("b0 tells that it covers the opening\n"); now.cov|=1; } }
  :: d_step { c_expr { (canask(1)) } -> c_code { SAY("b1 tells that it covers the opening\n"); now.cov|=2; } }
  :: d_step { c_expr { (canask(2)) } -> c_code { SAY("b2 tells that it covers the opening\n"); now.cov|=4; } }
#endif
#ifdef LEARN
  :: d_step { c_expr { (canreopen(0)) } -> c_code { SAY("b%d opens its record again\n",now.clX); up(now.clX); now.reA=now.act[now.clX]; now.reN=Cc(now.clX)[now.reA];
#ifdef SVOID
     memset(Ss(now.clX),0,6); memset(now.AG+now.clX*24,0,24); memset(now.T+now.clX*4,0,4);
#endif
     } }
#endif
#endif
#ifdef CLOSE2
  CLO2(0,1) CLO2(1,0) CLO2(0,2) CLO2(2,0) CLO2(1,2) CLO2(2,1)
#endif
#ifdef GOODBYE
  :: d_step { c_expr { (canbye(0)) } ->
     c_code { SAY("b2 says goodbye\n"); up(2); now.clX=2; now.clA=2; now.clN=Cc(2)[2]; now.adm&=~4; } }
#endif
#ifdef ROLLBACK
#ifndef WIPE
  :: d_step { c_expr { !(now.saved&1)&&!(now.rolled&1) } -> c_code { SAY("b0's disk is copied\n"); save(0); } }
#endif
  :: d_step { c_expr { !(now.rolled&1)
#ifndef WIPE
     && (now.saved&1)
#endif
     } -> c_code { SAY("b0 is rolled back\n"); back(0); settle(0); }; assert(!bad) }
#ifdef GHOST
  GHO(1,0) GHO(2,0)
#endif
#endif
#ifdef ROLLBACK2
  :: d_step { c_expr { !(now.saved&2)&&!(now.rolled&2) } -> c_code { SAY("b1's disk is copied\n"); save(1); } }
  :: d_step { c_expr { (now.saved&2)&&!(now.rolled&2) } -> c_code { SAY("b1 is rolled back\n"); back(1); settle(1); }; assert(!bad) }
#endif
  od
}
