package remotetest

// configuration is the radiusd.conf of StartFreeRADIUS. State stands for the first step of the dialog, in 16 octets.
const configuration = `prefix = /usr
libdir = /usr/lib/freeradius
logdir = $DIR
run_dir = $DIR
max_requests = 65536
max_request_time = 30
cleanup_delay = 2
log {
  destination = stdout
  auth = yes
}
security {
  reject_delay = 0
  status_server = yes
}
proxy_requests = no
client front {
  ipaddr = 127.0.0.0/8
  secret = "$SECRET"
  require_message_authenticator = yes
}
modules {
  pap {
  }
  chap {
  }
  mschap {
  }
  files {
    filename = $DIR/users
  }
  totp {
  }
  always ok {
    rcode = ok
  }
  always reject {
    rcode = reject
  }
}
server default {
  listen {
    type = auth
    ipaddr = 127.0.0.1
    port = $PORT
    recv_buff = 4194304
  }
  authorize {
    Autz-Type Status-Server {
      ok
    }
    files
    if (&State) {
      update control {
        &Auth-Type := Second
      }
    }
    elsif (&control:Tmp-String-1) {
      update control {
        &Auth-Type := First
      }
    }
    elsif (&control:TOTP-Secret && &User-Password =~ /^(....)(......)$/) {
      update {
        &request:Tmp-String-3 := "%{1}"
        &request:TOTP-Password := "%{2}"
        &control:Auth-Type := Token
      }
    }
    else {
      chap
      mschap
      pap
    }
  }
  authenticate {
    Auth-Type Token {
      if (&control:Tmp-String-0 == "%{request:Tmp-String-3}") {
        totp
      }
      else {
        reject
      }
    }
    Auth-Type First {
      if (&User-Password == "%{control:Cleartext-Password}") {
        update reply {
          &State := 0x00112233445566778899aabbccddeeff
          &Reply-Message := "%{control:Tmp-String-2}"
          &Prompt := No-Echo
        }
        update control {
          &Response-Packet-Type := Access-Challenge
        }
        ok
      }
      else {
        reject
      }
    }
    Auth-Type Second {
      if (&State == 0x00112233445566778899aabbccddeeff && &User-Password == "%{control:Tmp-String-1}") {
        ok
      }
      else {
        reject
      }
    }
    Auth-Type PAP {
      pap
    }
    Auth-Type CHAP {
      chap
    }
    Auth-Type MS-CHAP {
      mschap
    }
  }
  post-auth {
    update reply {
      &Message-Authenticator := 0x00
    }
    Post-Auth-Type REJECT {
      update reply {
        &Message-Authenticator := 0x00
      }
    }
    Post-Auth-Type Challenge {
      update reply {
        &Message-Authenticator := 0x00
      }
    }
  }
}
`
